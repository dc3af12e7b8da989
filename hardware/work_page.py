"""A shift as a page for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robot.report import Page, figure


def write(path: Path, result: Mapping[str, Any], pieces: Sequence[Mapping[str, Any]]) -> None:
    """Write the page of a `work.json` and its pieces."""
    worker = result["checkpoint"] or "the expert of the task"
    page = Page(f"A shift of {result['job']}",
                f"{result['hours']:.2f} simulated hours, worked by {worker}, seed {result['seed']}, "
                f"{result['faults_per_hour']:g} faults an hour put in by chance; simulated servos, no real arm")
    page.cards([
        (f"{result['pieces_per_hour']:g}", "pieces an hour"), (f"{result['success_rate']:.1%}", "of pieces done"),
        (str(result["interventions"]), "times a person had to come"),
        (_minutes(result["mtbf"]), "between failures"), (_seconds(result["mttr"]), "to repair"),
        (f"{result['energy_kwh'] * 1000.0:.1f} Wh", f"energy, {result['watts']:g} W"),
        (f"{result['hottest']:.0f} °C", "hottest servo")])
    page.section("Over the shift")
    fig, axes = figure(9.0, 2.6)
    hours = [p["ended"] / 3600.0 for p in pieces]
    axes.plot(hours, [p["hottest"] for p in pieces], color="#b9770e", label="hottest servo, °C")
    for p in pieces:
        if p["person"]:
            axes.axvline(p["ended"] / 3600.0, color="#c0392b", lw=0.8)
    axes.set_xlabel("h; red: a person came")
    axes.legend(fontsize=7)
    page.plot(fig)
    page.section("Pieces with faults, or not done")
    page.table(("piece", "at h", "done", "put in", "noticed", "recoveries", "ended"),
               [(p["number"], f"{p['began'] / 3600.0:.3f}", "yes" if p["success"] else "no", "; ".join(p["faults"]),
                 ", ".join(p["seen"]), p["stops"], p["outcome"]) for p in pieces
                if p["faults"] or p["seen"] or not p["success"]])
    page.write(path)


def _minutes(value: float | None) -> str:
    return "no failure" if value is None else f"{value / 60.0:.1f} min"


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f} s"
