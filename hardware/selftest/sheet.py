"""The sheet that a self-test fills in: one line a question, with its number, its limit and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class Verdict(Enum):
    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class Question:
    """What a line asks. With `warn` and `fail` it is about a number, which should be smaller."""

    stage: str
    name: str
    advice: str  # what to do when it is not well
    unit: str = ""
    warn: float = math.nan
    fail: float = math.nan
    scale: float = 1.0  # from SI to `unit`

    @property
    def key(self) -> str:
        return f"{self.stage}/{self.name}"


def _q(stage: str, name: str, advice: str, unit: str = "", warn: float = math.nan, fail: float = math.nan,
       scale: float = 1.0) -> Question:
    return Question(stage, name, advice, unit, warn, fail, scale)


MOVING = ("joints", "gripper", "stop")
DEGREES = 180.0 / math.pi
# Limits are proposals for hobby servos with 3D-printed arms, not a standard.
QUESTIONS = {q.key: q for q in (
    _q("port", "open", "check the USB cable, port= and who else has it open"),
    _q("port", "latency", "set the adapter's latency timer to 1 ms; use a USB port of the computer itself", "ms",
       0.003, 0.02, 1e3),
    _q("port", "jitter", "close what loads this computer; 99 of 100 answers should come in time", "ms",
       0.010, 0.050, 1e3),
    _q("port", "echo", "the adapter hears itself; the driver strips that, at the cost of wire time"),
    _q("scan", "answers", "check that servo's cable and power, and its id"),
    _q("scan", "kind", "another servo model is fitted than the joint table says; fit the right one or choose arm="),
    _q("scan", "twins", "give every servo an id of its own, with only one of them connected"),
    _q("scan", "strangers", "servos that this arm does not have; is this the right arm=?"),
    _q("configuration", "registers", "somebody changed these; write them back or power-cycle the servo", "", 0.5),
    _q("configuration", "writes", "the servo answers but carries nothing out: power-cycle it"),
    _q("configuration", "range", "the arm's range does not fit into the servo's turn: calibrate"),
    _q("communication", "answers", "check connectors and cable length, keep data away from motor wires", "%",
       0.005, 0.03, 100.0),
    _q("communication", "delay", "one servo answers later than the others: check its return delay, replace it", "ms",
       0.002, 0.005, 1e3),
    _q("communication", "cycle", "reading all servos takes longer than their answers do: is this computer busy?",
       "ms", 0.004, 0.010, 1e3),
    _q("sensors", "temperature", "let it cool, look for what it pushes against", "°C", 55.0, 65.0),
    _q("sensors", "voltage", "use the supply the servos are made for", "% off", 0.08, 0.15, 100.0),
    _q("sensors", "ripple", "the supply is unsteady: use a better or a larger one", "V", 0.6, 1.2),
    _q("sensors", "noise", "a position that jumps at rest: the encoder or its magnet is loose", "°",
       0.005, 0.02, DEGREES),
    _q("sensors", "position", "a joint stands where it cannot: its horn or magnet slipped, or calibrate again", "°",
       0.05, 0.12, DEGREES),
    _q("sensors", "flags", "the servo itself reports trouble"),
    _q("joints", "follows", "no or too little motion: jammed, disconnected motor, worn gears or too heavy a load"),
    _q("joints", "tracking", "lags behind its goal: low voltage, load or a low gain", "°", 0.13, 0.22, DEGREES),
    _q("joints", "hold", "stands away from its goal: load, low gain or dead zone", "°", 0.06, 0.12, DEGREES),
    _q("joints", "backlash", "play in the gears or a loose horn: tighten the screws", "°", 0.035, 0.07, DEGREES),
    _q("joints", "friction", "hard to move, or a weak motor: look for rubbing parts, cables, over-tightened screws",
       "% torque", 0.2, 0.4, 100.0),
    _q("joints", "overshoot", "swings past its goal: loose mount or too high a gain", "°", 0.04, 0.09, DEGREES),
    _q("joints", "jumps", "a position leapt while moving: slipping gear or encoder magnet; calibrate after repair", "°",
       0.05, 0.10, DEGREES),
    _q("joints", "sag", "the supply gives way under load: thicker cable, larger supply", "V", 0.7, 1.1),
    _q("gripper", "opens and closes", "something holds the fingers, or the gripper's calibration is off", "°",
       0.12, 0.25, DEGREES),
    _q("camera", "pictures", "check the camera's cable and number; a rate this low starves the policy", "Hz"),
    _q("camera", "age", "pictures come late: fewer cameras on one hub, lower resolution", "ms", 0.25, 0.6, 1e3),
    _q("camera", "freeze", "the same picture again and again while the arm moves: reconnect the camera"),
    _q("camera", "noise", "neighbouring pictures have nothing in common: cable or sensor", "levels", 25.0, 40.0),
    _q("camera", "exposure", "too dark, too bright or without contrast: light, lens cap, exposure setting"),
    _q("stop", "emergency stop", "the arm takes too long to stand after a stop", "ms", 0.25, 0.5, 1e3),
    _q("stop", "drift", "the arm moves on after it stood: it cannot hold its own weight", "°", 0.03, 0.08, DEGREES),
    _q("stop", "torque off", "a servo kept its torque when all were told to let go: cut the power by hand"),
    _q("watchdog", "takes over", "the loop was frozen and nobody stopped the arm in time: see the watchdog's log",
       "ms", 0.4, 0.6, 1e3),
    _q("watchdog", "stops the arm", "the arm drove on after the loop was frozen", "°", 0.12, 0.2, DEGREES),
    _q("trend", "wear", "worse than this arm used to be; look at these joints before they fail"),
)}


@dataclass(frozen=True)
class Line:
    """One answered question. `values` are in the question's unit, by joint, servo or camera."""

    stage: str
    name: str
    verdict: Verdict
    text: str
    value: float | None = None  # the worst one
    unit: str = ""
    limit: str = ""
    advice: str = ""
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.stage}/{self.name}"


class Sheet:
    """Collects lines and curves."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.curves: dict[str, dict[str, list[float]]] = {}  # title -> name -> samples; "t" is the abscissa
        self.explained: dict[str, str] = {}  # joint -> why its motion is measured but not judged
        self.samples: dict[str, list[float]] = {}  # title -> values whose scatter is worth a look

    def number(self, key: str, values: Mapping[str, float], text: str = "") -> Line:
        """Judge `values` (SI, by name) by the worst; where there are none the line is skipped."""
        q = QUESTIONS[key]
        shown = {name: float(v) * q.scale for name, v in values.items()}
        if not shown:
            return self.skip(key, text or "nothing to measure")
        spared = {name for name in shown if q.stage in MOVING and name in self.explained}
        if len(spared) == len(shown):
            return self._add(q, Verdict.SKIP, self._excuse(spared), None, "", shown)
        judged = {name: v for name, v in shown.items() if name not in spared}
        text = "; ".join(filter(None, (text, self._excuse(spared))))
        worst = max(judged, key=lambda name: math.inf if math.isnan(judged[name]) else judged[name])
        value = shown[worst]
        warn, fail = q.warn * q.scale, q.fail * q.scale
        bad = value >= fail or math.isnan(value)
        verdict = Verdict.FAIL if bad else Verdict.WARN if value >= warn else Verdict.PASS
        where = f"{worst} " if len(shown) > 1 else ""
        words = f"{where}{value:.3g} {q.unit}".strip()
        limit = f"< {warn:.3g}" if math.isnan(fail) else f"< {warn:.3g}, fails at {fail:.3g}"
        return self._add(q, verdict, f"{words}{'; ' + text if text else ''}", value, limit, shown)

    def _excuse(self, names: set[str]) -> str:
        return "; ".join(f"{name} not judged: {self.explained[name]}" for name in sorted(names))

    def state(self, key: str, good: bool, text: str, warn_only: bool = False,
              values: Mapping[str, float] | None = None) -> Line:
        """A question that is answered with yes or no."""
        verdict = Verdict.PASS if good else Verdict.WARN if warn_only else Verdict.FAIL
        return self._add(QUESTIONS[key], verdict, text, None, "", values or {})

    def skip(self, key: str, why: str) -> Line:
        return self._add(QUESTIONS[key], Verdict.SKIP, why, None, "", {})

    def skip_rest(self, why: str, stages: tuple[str, ...]) -> None:
        """Every question of `stages` that has no line yet."""
        answered = {line.key for line in self.lines}
        for key, q in QUESTIONS.items():
            if q.stage in stages and key not in answered:
                self.skip(key, why)

    def verdict(self, *stages: str) -> Verdict:
        """The worst of the lines, of all stages unless some are named."""
        found = {line.verdict for line in self.lines if not stages or line.stage in stages}
        return next((v for v in (Verdict.FAIL, Verdict.WARN) if v in found), Verdict.PASS)

    def troubled(self) -> list[str]:
        """Keys of the lines that did not pass."""
        return [line.key for line in self.lines if line.verdict in (Verdict.WARN, Verdict.FAIL)]

    def ordered(self) -> list[Line]:
        """The lines in the order of the questions."""
        place = {key: k for k, key in enumerate(QUESTIONS)}
        return sorted(self.lines, key=lambda line: place[line.key])

    def document(self) -> dict[str, Any]:
        """The sheet as JSON takes it."""
        rows = [{**asdict(line), "verdict": line.verdict.value} for line in self.ordered()]
        return {"verdict": self.verdict().value, "lines": rows, "curves": self.curves, "samples": self.samples}

    def _add(self, q: Question, verdict: Verdict, text: str, value: float | None, limit: str,
             values: Mapping[str, float]) -> Line:
        advice = q.advice if verdict in (Verdict.WARN, Verdict.FAIL) else ""
        line = Line(q.stage, q.name, verdict, text, value, q.unit, limit, advice, dict(values))
        for k, before in enumerate(self.lines):
            if before.key == line.key:  # asked again: the worse answer stays
                self.lines[k] = line if _RANK[verdict] >= _RANK[before.verdict] else before
                return self.lines[k]
        self.lines.append(line)
        return line


_RANK = {Verdict.SKIP: 0, Verdict.PASS: 1, Verdict.WARN: 2, Verdict.FAIL: 3}
