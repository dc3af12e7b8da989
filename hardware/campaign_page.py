"""The campaign as a page for people: targets, one table, and how long noticing and stopping took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robot.report import Page, figure


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Write the page of a `campaign.json`."""
    page = Page("Fault campaign", f"{result['runs']} runs, {result['simulated_hours']:.2f} simulated hours, "
                                  f"seed {result['seed']}; simulated servos, no real arm")
    page.section("Targets")
    page.table(("promise", "measured", "met"), [(t["target"], t["value"], "yes" if t["met"] else "no")
                                                for t in result["targets"]])
    _rows(page, result)
    _plots(page, result)
    _together(page, result)
    if result["unsafe"]:
        page.section("Limits exceeded")
        page.table(("run", "limits", "peaks", "at s", "faults"),
                   [(u["run"], ", ".join(u["over"]), u["peaks"], u["when"], "; ".join(u["faults"]))
                    for u in result["unsafe"]])
    if result["errors"]:
        page.section("Runs that ended before they began")
        page.table(("run", "why"), [(e["run"], e["error"]) for e in result["errors"]])
    page.write(path)


def markdown(result: Mapping[str, Any]) -> str:
    """The promises and the table of a `campaign.json`, for a document."""
    lines = [f"{result['runs']} runs, {result['simulated_hours']:.2f} simulated hours, seed {result['seed']}.", ""]
    lines += ["| promise | measured | met |", "| --- | --- | --- |"]
    lines += [f"| {t['target']} | {t['value']} | {'yes' if t['met'] else '**no**'} |" for t in result["targets"]]
    head = ("fault", "runs", "detected", "median, s", "p99, s", "false alarms/h", "at rest, s", "limits exceeded",
            "recovered or stayed stopped", "back at work, s", "task done")
    lines += ["", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for r in result["rows"]:
        seen = f"{_percent(r['detected'])} of {r['noticeable']}" if r["rows"] and r["noticeable"] else "harmless"
        ended = r["recovered"] if r["recovered"] is not None else r["stayed_stopped"]
        cells = (f"`{r['what']}`", r["runs"], seen, _seconds(r["latency_median"]), _seconds(r["latency_p99"]),
                 f"{r['false_alarms_per_hour']:.0f}" if r["false_alarms_per_hour"] is not None else "",
                 _seconds(r["safe_median"]), r["limits_exceeded"], f"{_percent(ended)} {_way(r['end'])}",
                 _seconds(r["back_median"]), _percent(r["success"]))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _way(end: str) -> str:
    return "stopped" if end == "stops" else "recovered" if end == "recovers" else "worked on"


def _rows(page: Page, result: Mapping[str, Any]) -> None:
    page.section("Each fault by itself",
                 "Detected: noticed within the row's deadline, of the runs in which it could be noticed. "
                 "Times are seconds of simulated time from the moment a fault can be noticed.")
    head = ("fault", "runs", "could be noticed", "detected", "latency median", "p99", "at rest median", "p99",
            "limits exceeded", "false alarms an hour before it", "recovered unattended", "stayed stopped",
            "back at work", "task success")
    page.table(head, [(
        r["name"], r["runs"], r["noticeable"] if r["rows"] else "harmless", _percent(r["detected"]),
        _seconds(r["latency_median"]), _seconds(r["latency_p99"]), _seconds(r["safe_median"]), _seconds(r["safe_p99"]),
        r["limits_exceeded"], r["false_alarms_per_hour"], _percent(r["recovered"]), _percent(r["stayed_stopped"]),
        _seconds(r["back_median"]),
        _percent(r["success"])) for r in result["rows"]])


def _plots(page: Page, result: Mapping[str, Any]) -> None:
    rows = [r for r in result["rows"] if r["latencies"]]
    if not rows:
        return
    page.section("How soon a fault is noticed")
    fig, axes = figure(9.0, 0.24 * len(rows) + 1.0)
    for k, r in enumerate(rows):
        times = [max(x, 1e-3) for x in r["latencies"]]
        axes.plot(times, [k] * len(times), "o", ms=3, alpha=0.5, color="#27608b")
        axes.plot([r["deadline"]], [k], "|", ms=9, color="#c0392b")
    axes.set_yticks(range(len(rows)), [r["name"] for r in rows], fontsize=7)
    axes.set_xscale("log")
    axes.set_xlabel("s from when it could be noticed; red: the deadline")
    axes.invert_yaxis()
    page.plot(fig)
    _peaks(page, result)


def _peaks(page: Page, result: Mapping[str, Any]) -> None:
    page.section("How near the limits it came", "The worst run of each row, as a share of the limit.")
    fig, axes = figure(9.0, 3.2)
    names = [r["name"] for r in result["rows"]]
    for limit, allowed in result["limits"].items():
        shares = [r["peaks"][limit] / allowed for r in result["rows"]]
        axes.plot(range(len(names)), shares, "o-", ms=3, lw=0.8, label=limit)
    axes.axhline(1.0, color="#c0392b")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
    axes.legend(fontsize=7, ncols=4)
    page.plot(fig)


def _together(page: Page, result: Mapping[str, Any]) -> None:
    pairs, shift = result["pairs"], result["shift"]
    if pairs["runs"]:
        page.section("Two faults at once")
        page.table(("pairs", "limits exceeded", "one noticed", "each noticed", "task success", "ended"),
                   [(pairs["runs"], pairs["unsafe"], _percent(pairs["first_noticed"]), _percent(pairs["each_noticed"]),
                     _percent(pairs["success"]), ", ".join(f"{k} {v}" for k, v in pairs["ends"].items()))])
    if shift["hours"]:
        page.section("No fault at all")
        page.table(("hours", "scenes", "done", "false alarms", "an hour"),
                   [(shift["hours"], shift["scenes"], shift["done"], len(shift["false_alarms"]),
                     shift["false_alarms_per_hour"])])
        for alarm in shift["false_alarms"][:20]:
            page.text(alarm)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
