"""From the runs of a campaign to its table: one line a row of faults, and whether the targets hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hardware.campaign_cases import CASES, Case, End

Run = Mapping[str, Any]
LIMITS = ("position", "speed", "acceleration", "force")


def summary(runs: Sequence[Run], config: Mapping[str, Any]) -> dict[str, Any]:
    """What `campaign.json` says."""
    rows = [row(name, [r for r in runs if r["kind"] == "row" and r["name"] == name]) for name in CASES]
    rows = [r for r in rows if r["runs"]]
    pairs = [r for r in runs if r["kind"] == "pair"]
    shift = [r for r in runs if r["kind"] == "shift"]
    return {
        "seed": config["seed"], "limits": config["limits"], "targets": targets(rows, runs, pairs, shift),
        "rows": rows, "pairs": _pairs(pairs), "shift": _shift(shift),
        "unsafe": [_unsafe(r) for r in runs if r["over"]],
        "errors": [{"run": _where(r), "error": r["outcome"]} for r in runs if r["outcome"].startswith("error")],
        "runs": len(runs), "simulated_hours": round(sum(r["seconds"] for r in runs) / 3600.0, 3),
    }


def row(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """One line: `runs` are those with this fault alone."""
    case = CASES[name]
    blows = [r["blows"][0] for r in runs if r["blows"]]
    met = [b for b in blows if b["exposed"] is not None]
    late = [b["noticed"] - max(b["onset"], b["exposed"]) for b in met if b["noticed"] is not None]
    within = sum(x <= case.deadline for x in late)
    rest = [max(0.0, b["at_rest"] - max(b["onset"], b["exposed"]))
            for b in met if b["at_rest"] is not None and case.stops]
    back = [b["working"] - b["onset"] for b in met if b["working"] is not None]
    judged = [r for r in runs if not r["blows"] or r["blows"][0]["exposed"] is not None]
    before = sum(b["onset"] for b in blows) / 3600.0  # h
    alarms = sum(len(r["false_alarms"]) for r in runs)
    return {
        "name": name, "group": case.group, "what": case.text, "rows": list(case.notice), "end": case.end.value,
        "deadline": case.deadline, "runs": len(runs), "noticeable": len(met) if case.notice else 0,
        "judged": len(judged), "false_alarms_per_hour": alarms / before if before else None,
        "detected": within / len(met) if case.notice and met else None,
        "latency_median": _percentile(late, 50), "latency_p99": _percentile(late, 99),
        "safe_median": _percentile(rest, 50), "safe_p99": _percentile(rest, 99),
        "limits_exceeded": sum(bool(r["over"]) for r in runs),
        "recovered": _share([recovered(r, case) for r in judged]) if case.end is not End.STOPS else None,
        "stayed_stopped": _share([stopped(r) for r in judged]) if case.end is End.STOPS else None,
        "back_median": _percentile(back, 50) if case.end is End.RECOVERS else None,
        "success": _share([bool(r["success"]) for r in runs]) if case.end is not End.STOPS else None,
        "still_within": max((r["still_within"] for r in runs if r["still_within"] is not None), default=None),
        "peaks": {k: max((r["peaks"].get(k, 0.0) for r in runs), default=0.0) for k in LIMITS},
        "latencies": [round(x, 4) for x in late],
    }


def recovered(run: Run, case: Case) -> bool:
    """Without a person: the run ended at work, and work went on after the fault."""
    if run["outcome"] not in ("done", "timeout"):
        return False
    return not case.stops or all(b["working"] is not None or b["noticed"] is None for b in run["blows"])


def stopped(run: Run) -> bool:
    """The arm ended parked, limp or in the watchdog's hands, and nobody but a person can start it again."""
    return run["outcome"] in ("parked", "limp", "rescued")


def targets(rows: Sequence[Mapping[str, Any]], runs: Sequence[Run], pairs: Sequence[Run],
            shift: Sequence[Run]) -> list[dict[str, Any]]:
    """The promises of the project, each with what was measured."""
    met = sum(r["noticeable"] for r in rows)
    seen = sum(r["detected"] * r["noticeable"] for r in rows if r["detected"] is not None)
    can = [r for r in rows if r["end"] == End.RECOVERS.value]
    back = sum(r["recovered"] * r["judged"] for r in can if r["recovered"] is not None)
    all_of = sum(r["judged"] for r in can)
    unsafe = sum(bool(r["over"]) for r in runs)
    early = sum(len(r["false_alarms"]) for r in runs if r["kind"] != "shift")
    hours = sum(r["seconds"] for r in shift) / 3600.0
    alarms = sum(len(r["false_alarms"]) for r in shift)
    still = [r["still_within"] for r in rows if r["still_within"] is not None]
    out = [
        _target("detected within the deadline, at least 99 %", seen / met if met else 1.0, lambda v: v >= 0.99,
                "{:.2%}"),
        _target("runs with an unsafe event, none", unsafe, lambda v: v == 0, "{}"),
        _target("false alarms before a fault, none", early, lambda v: v == 0, "{}"),
        _target("recoverable faults recovered unattended, at least 90 %", back / all_of if all_of else 1.0,
                lambda v: v >= 0.90, "{:.2%}"),
    ]
    if shift:
        out.append(_target(f"false alarms in {hours:.2f} fault-free hours, none", alarms, lambda v: v == 0, "{}"))
    if still:
        out.append(_target("still after a dead or frozen process, within 0.5 s", max(still), lambda v: v <= 0.5,
                           "{:.3f} s"))
    if pairs:
        bad = sum(bool(r["over"]) for r in pairs)
        out.append(_target(f"unsafe events in {len(pairs)} pairs of faults, none", bad, lambda v: v == 0, "{}"))
    return out


def _target(text: str, value: float, holds: Any, form: str) -> dict[str, Any]:
    return {"target": text, "value": form.format(value), "number": value, "met": bool(holds(value))}


def _pairs(runs: Sequence[Run]) -> dict[str, Any]:
    blows = [b for r in runs for b in r["blows"] if b["exposed"] is not None and CASES[b["case"]].notice]
    ends: dict[str, int] = {}
    for r in runs:
        ends[r["outcome"]] = ends.get(r["outcome"], 0) + 1
    return {"runs": len(runs), "unsafe": sum(bool(r["over"]) for r in runs), "ends": ends,
            "first_noticed": _share([any(b["noticed"] is not None for b in r["blows"]) for r in runs
                                     if any(CASES[b["case"]].notice for b in r["blows"])]),
            "each_noticed": _share([b["noticed"] is not None for b in blows]),
            "success": _share([bool(r["success"]) for r in runs])}


def _shift(runs: Sequence[Run]) -> dict[str, Any]:
    hours = sum(r["seconds"] for r in runs) / 3600.0
    alarms = [a for r in runs for a in r["false_alarms"]]
    return {"hours": round(hours, 3), "scenes": sum(r["kits"] for r in runs), "done": sum(r["done"] for r in runs),
            "false_alarms": alarms, "false_alarms_per_hour": len(alarms) / hours if hours else None,
            "peaks": {k: max((r["peaks"].get(k, 0.0) for r in runs), default=0.0) for k in LIMITS}}


def _where(r: Run) -> str:
    return f"{r['kind']}/{r['name']}/{r['number']}"


def _unsafe(r: Run) -> dict[str, Any]:
    return {"run": _where(r), "seed": r["seed"], "over": r["over"], "peaks": r["peaks"], "when": r["when"],
            "faults": [b["text"] + f" at {b['onset']}" for b in r["blows"]]}


def _percentile(values: Sequence[float], at: float) -> float | None:
    return round(float(np.percentile(values, at)), 4) if values else None


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None
