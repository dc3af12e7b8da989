"""`steadyhand work job=kitting hours=8`: a shift in virtual time with faults by chance, and what an employer asks.

Every piece of work is a run of its own, seeded by its number, whose outcome is on disk before the next one begins.
So a shift that is killed goes on with the piece that was not finished: none is repeated, none forgotten.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hardware import work_page
from hardware.campaign import read
from hardware.campaign_cases import chosen
from hardware.campaign_trial import draw, seed_of
from hardware.lab import Lab, Workshop
from robot import output, registry
from robot.errors import ArmError, ConfigError
from robot.interfaces import Mode

LOG_FILE, RESULT, PAGE = "pieces.jsonl", "work.json", "work.html"
FREE = ("out", "job", "limits", "debug")  # may differ in a continuation
AMBIENT = 25.0  # °C
COOLING = 315.0  # s, in which a motor that does nothing loses most of its heat
STOPPED = ("parked", "limp", "rescued", "lost", "refused")


@dataclass
class Piece:
    """One piece of work, from the scene being laid to the arm being parked; times in s of the shift."""

    number: int
    began: float
    ended: float = 0.0
    success: bool = False
    outcome: str = ""
    instruction: str = ""
    faults: list[str] = field(default_factory=list)  # put in on purpose before it was done
    seen: list[str] = field(default_factory=list)  # rows of the catalogue that came into force
    stops: int = 0  # recoveries by itself
    mending: float = 0.0  # s, of them
    person: bool = False  # somebody had to come
    repair: float = 0.0  # s that took
    energy: float = 0.0  # J
    celsius: list[float] = field(default_factory=list)  # °C, of each motor at the end
    hottest: float = 0.0  # °C
    over: list[str] = field(default_factory=list)  # limits that were exceeded


def main(config: dict[str, Any]) -> int:
    """Work the shift to its end; 0 when no limit was exceeded."""
    config = _with_job(config)
    if config["hours"] <= 0 or config["faults_per_hour"] < 0:
        raise ConfigError("hours= must be more than 0, faults_per_hour= at least 0")
    chosen(list(config["faults"]))
    out = output.claim(config["out"], "work", config, resume=True)
    output.agree(out, config, FREE)
    pieces = [Piece(**row) for row in read(out / LOG_FILE).values()]
    console = Console()
    if pieces:
        console.print(f"going on after piece {pieces[-1].number}, {pieces[-1].ended / 3600.0:.2f} h into the shift")
    pieces = _shift(config, out, pieces)
    result = summary(pieces, config)
    output.write_text(out / RESULT, json.dumps(result, indent=2) + "\n")
    work_page.write(out / PAGE, result, [asdict(p) for p in pieces])
    for name in ("pieces_per_hour", "success_rate", "interventions", "mtbf", "mttr", "energy_kwh", "hottest"):
        console.print(f"{name}: {result[name]}")
    console.print(f"result: {out / RESULT}; page: {out / PAGE}", soft_wrap=True)
    return 0 if not result["limits_exceeded"] else 1


def _with_job(config: Mapping[str, Any]) -> dict[str, Any]:
    """`job=NAME` is the task of that name as it comes."""
    if not config["job"]:
        return dict(config)
    registry.get("task", str(config["job"]))
    return {**config, "task": {registry.OPTION_KEY: str(config["job"])}}


def _shift(config: Mapping[str, Any], out: Path, pieces: list[Piece]) -> list[Piece]:
    logging.getLogger().setLevel(logging.CRITICAL)  # faults on purpose are no news
    end = float(config["hours"]) * 3600.0
    columns = (TextColumn("work"), BarColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
    with tempfile.TemporaryDirectory() as folder, (out / LOG_FILE).open("a") as log, Progress(*columns) as progress:
        shop = Workshop.of(config, Path(folder))
        bar = progress.add_task("", total=end, note="")
        while (now := pieces[-1].ended if pieces else 0.0) < end:
            good = sum(p.success for p in pieces)
            progress.update(bar, completed=now, note=f"{good} of {len(pieces)} done, {now / 3600.0:.2f} h")
            piece = work(shop, len(pieces), now, pieces[-1].celsius if pieces else [])
            pieces.append(piece)
            log.write(json.dumps({"key": str(piece.number), **asdict(piece)}) + "\n")
            log.flush()
            os.fsync(log.fileno())
    return pieces


def work(shop: Workshop, number: int, began: float, celsius: list[float]) -> Piece:
    """One piece of work with the faults that chance brings; `celsius` (°C) are the motors after the last one."""
    config = shop.config
    seed = seed_of(int(config["seed"]), "work", "piece", number)
    rng = np.random.default_rng(seed)
    piece = Piece(number, began)
    try:
        lab = Lab(shop, seed, int(rng.integers(1 << 30)), celsius=celsius)
    except ArmError as error:
        return _refused(piece, str(error), float(config["repair"]), celsius)
    piece.instruction = lab.instruction
    names = list(chosen(list(config["faults"])))
    seconds = float(config["seconds"])
    for at in np.cumsum(rng.exponential(3600.0 / max(float(config["faults_per_hour"]), 1e-9), 8)):
        if at < seconds:
            name = names[int(rng.integers(len(names)))]
            blow, _ = draw(lab, name, rng)
            piece.faults.append(f"{blow.text} at {at:.2f}")
            lab.inject(piece.faults[-1])
    _run(lab, piece, seconds, float(config["repair"]))
    piece.faults = [f for f in piece.faults if float(f.rsplit(" ", 1)[1]) <= lab.agent.result.seconds]
    return piece


def _run(lab: Lab, piece: Piece, seconds: float, repair: float) -> None:
    try:
        result = lab.run(seconds, lab.world.success, home=True)
        piece.outcome, piece.seen = result.outcome, [f.name for f in result.faults]
        piece.stops, piece.mending = len(result.recoveries), round(sum(r.seconds for r in result.recoveries), 3)
    except ArmError as error:
        piece.outcome = f"refused: {error}"
    piece.success = bool(lab.world.success())
    if not (lab.agent.behaviour.mode is Mode.LIMP or lab.rescued or piece.outcome.startswith("refused")):
        lab.park()
    piece.person = piece.outcome.startswith(STOPPED)
    piece.repair = repair if piece.person else 0.0
    piece.energy, piece.hottest = round(lab.monitor.energy, 2), round(lab.monitor.hottest, 2)
    now = np.asarray(lab.rig.heat.celsius, dtype=np.float64)
    left = AMBIENT + (now - AMBIENT) * np.exp(-piece.repair / COOLING)
    piece.celsius = [round(float(c), 3) for c in left]
    piece.over = lab.monitor.peaks.over(lab.monitor.limits)
    piece.ended = round(piece.began + lab.clock.now() + piece.repair, 3)


def _refused(piece: Piece, why: str, repair: float, celsius: list[float]) -> Piece:
    piece.outcome, piece.person, piece.repair = f"refused: {why}", True, repair
    piece.ended, piece.celsius = round(piece.began + repair, 3), celsius
    return piece


def summary(pieces: list[Piece], config: Mapping[str, Any]) -> dict[str, Any]:
    """What `work.json` says."""
    seconds = pieces[-1].ended
    good, people = sum(p.success for p in pieces), sum(p.person for p in pieces)
    failures = people + sum(p.stops for p in pieces)
    mended = sum(p.repair for p in pieces) + sum(p.mending for p in pieces)
    return {
        "job": config["task"][registry.OPTION_KEY], "checkpoint": config["checkpoint"],
        "hours": round(seconds / 3600.0, 4),
        "pieces": len(pieces),
        "done": good, "pieces_per_hour": round(good / seconds * 3600.0, 2),
        "success_rate": round(good / len(pieces), 4),
        "interventions": people, "injected": sum(len(p.faults) for p in pieces),
        "recoveries": sum(p.stops for p in pieces),
        "mtbf": round((seconds - mended) / failures, 1) if failures else None,
        "mttr": round(mended / failures, 2) if failures else None,
        "energy_kwh": round(sum(p.energy for p in pieces) / 3.6e6, 5),
        "watts": round(sum(p.energy for p in pieces) / seconds, 2), "hottest": max(p.hottest for p in pieces),
        "limits_exceeded": sum(bool(p.over) for p in pieces),
        "faults_per_hour": config["faults_per_hour"], "seed": config["seed"],
    }
