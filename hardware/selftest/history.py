"""What earlier self-tests of the same arm found, so that wear shows before it is a failure."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from hardware import calibration
from hardware.protocols.tables import RAD_PER_COUNT
from hardware.selftest.sheet import QUESTIONS, Sheet, Verdict

LENGTH = 20  # runs that are compared
FEWEST = 3  # earlier runs before there is a trend
FINEST = 1.5 * RAD_PER_COUNT  # rad, more than an encoder's reading may flicker by
WATCHED = ("joints/tracking", "joints/hold", "joints/backlash", "joints/friction", "joints/overshoot", "joints/sag",
           "communication/answers", "sensors/noise")


def path_of(arm: str, robot: str) -> Path:
    """The history of robot id `robot` of that arm model."""
    return calibration.folder().parent / "selftest" / arm / f"{robot}.jsonl"


def load(path: Path) -> list[dict[str, Any]]:
    """Earlier runs, oldest first; lines that cannot be read are left out."""
    out = []
    try:
        text = path.read_text()
    except OSError:
        return []
    for row in text.splitlines():
        try:
            out.append(json.loads(row))
        except ValueError:
            continue
    return out[-LENGTH:]


def append(path: Path, sheet: Sheet) -> dict[str, Any]:
    """Add this run; returns its row."""
    row = {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"), "verdict": sheet.verdict().value,
        "values": {line.key: dict(line.values) for line in sheet.lines if line.values},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
    return row


def compare(runs: list[dict[str, Any]], sheet: Sheet) -> None:
    """Fill in the trend line: what is clearly worse than it was, though it may still pass."""
    if len(runs) < FEWEST:
        sheet.skip("trend/wear", f"{len(runs)} earlier runs of this arm; {FEWEST} are needed")
        return
    worse = []
    for line in list(sheet.lines):
        if line.key not in WATCHED or line.verdict is not Verdict.PASS:  # what is not well needs no trend
            continue
        for name, value in line.values.items():
            if name in sheet.explained:
                continue
            before = series(runs, line.key, name)
            if len(before) >= FEWEST and value > _usual(before, line.key):
                worse.append(f"{line.key} {name}: {value:.3g} {line.unit}, was {np.median(before):.3g}")
    sheet.state("trend/wear", not worse, "; ".join(worse) or f"as in the last {len(runs)} runs", True)


def series(runs: list[dict[str, Any]], key: str, name: str) -> list[float]:
    """One value through the runs, oldest first."""
    found = (run.get("values", {}).get(key, {}).get(name) for run in runs)
    return [float(v) for v in found if isinstance(v, (int, float)) and math.isfinite(v)]


def _usual(before: list[float], key: str) -> float:
    """The largest value that is no news: far outside the scatter of earlier runs, and a fair share of the limit;
    of an angle, more than encoders can tell."""
    q = QUESTIONS[key]
    middle = float(np.median(before))
    scatter = float(np.median(np.abs(np.array(before) - middle)))
    return middle + max(6.0 * scatter, 0.2 * q.warn * q.scale, FINEST * q.scale if q.unit == "°" else 0.0)
