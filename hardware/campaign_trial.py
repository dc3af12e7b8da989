"""One run of the campaign: a scene, one or two faults at random moments, and what came of it, as plain data."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hardware.campaign_cases import CASES, Case
from hardware.lab import Lab, Workshop
from robot.agent import RunResult
from robot.errors import ArmError
from robot.interfaces import Mode

EARLIEST, LATEST = 0.3, 3.0  # s after work began, between which a fault begins
QUIET = 1.0  # s that work must go on after the last fault, before a run is over
LIMP = 1.5  # s for which an arm that lost its torque is watched


@dataclass
class Blow:
    """One fault of a run and how it was met; times in s from the start of work, None where it did not happen."""

    case: str
    text: str
    onset: float
    exposed: float | None = None  # when it could be noticed
    noticed: float | None = None
    by: str = ""  # the row of the catalogue
    at_rest: float | None = None  # when every joint stood still
    working: float | None = None  # when work went on


@dataclass
class Trial:
    """What one run showed."""

    kind: str  # row, pair or shift
    name: str
    number: int
    seed: int
    blows: list[Blow] = field(default_factory=list)
    outcome: str = ""
    success: bool = False
    seconds: float = 0.0  # simulated
    false_alarms: list[str] = field(default_factory=list)  # before any fault
    faults: list[dict[str, Any]] = field(default_factory=list)
    recoveries: list[dict[str, Any]] = field(default_factory=list)
    peaks: dict[str, float] = field(default_factory=dict)
    when: dict[str, float] = field(default_factory=dict)  # s, of each peak
    over: list[str] = field(default_factory=list)  # limits that were exceeded
    still_within: float | None = None  # s from a dead or frozen process to an arm at rest
    kits: int = 0  # scenes worked on, in a shift
    done: int = 0  # of them with success

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def seed_of(seed: int, kind: str, name: str, number: int) -> int:
    """The same for the same run, whatever else is in the campaign."""
    return int(np.random.SeedSequence([seed, zlib.crc32(f"{kind}/{name}".encode()), number]).generate_state(1)[0])


class Watcher:
    """Looks on once a cycle and notes when a fault could be noticed, when the arm rested and when it worked on."""

    def __init__(self, lab: Lab, blows: list[Blow], joints: list[int]) -> None:
        self._lab, self._blows, self._joints = lab, blows, joints
        self.start = lab.clock.now()
        self._since: dict[int, float] = {}  # fault -> since when it shows

    @property
    def now(self) -> float:
        return self._lab.clock.now() - self.start

    def done(self) -> bool:
        """Called every cycle; whether the run is over."""
        lab, now = self._lab, self.now
        active = lab.agent.behaviour.mode is Mode.ACTIVE
        for k, (blow, joint) in enumerate(zip(self._blows, self._joints)):
            case = CASES[blow.case]
            if now <= blow.onset:
                continue
            self._expose(k, blow, case, joint, now)
            self._note(k, blow, now)
            if blow.noticed is None:
                continue
            if blow.at_rest is None and lab.monitor.at_rest:
                blow.at_rest = max(lab.monitor.rested - self.start, blow.onset)
            if blow.working is None and active and now > blow.noticed and (blow.at_rest is not None or not case.stops):
                blow.working = now
        return bool(lab.world.success()) and active and all(self._over(b, now) for b in self._blows)

    def _expose(self, k: int, blow: Blow, case: Case, joint: int, now: float) -> None:
        """It can be noticed once it has shown for as long as a row asks."""
        if blow.exposed is not None:
            return
        if not case.exposed(self._lab, joint):
            self._since.pop(k, None)
            return
        since = self._since.setdefault(k, now)
        if now - since >= case.shows:
            blow.exposed = since

    def _note(self, k: int, blow: Blow, now: float) -> None:
        if blow.noticed is None:
            for name in self._lab.verdict.active:
                if name in CASES[blow.case].notice:
                    blow.noticed, blow.by = now, name
                    blow.exposed = self._since.get(k, now) if blow.exposed is None else blow.exposed

    def _over(self, blow: Blow, now: float) -> bool:
        if now < blow.onset + QUIET:
            return False
        if blow.exposed is not None and blow.noticed is None and CASES[blow.case].notice:
            return now > blow.exposed + CASES[blow.case].deadline + QUIET
        return blow.noticed is None or blow.working is not None


def trial(shop: Workshop, kind: str, names: tuple[str, ...], number: int, seed: int) -> Trial:
    """One run with the faults of the rows `names` at random moments."""
    out = Trial(kind, "+".join(names), number, seed)
    rng = np.random.default_rng(seed)
    lab = Lab(shop, seed, int(rng.integers(1 << 30)))
    joints = []
    for name in names:
        blow, joint = draw(lab, name, rng)
        out.blows.append(blow)
        joints.append(joint)
        if name.startswith("encoder") or name in ("motor_off", "motor_weak"):
            lab.monitor.beyond.add(joint)
        lab.inject(f"{blow.text} at {blow.onset:.3f}")
    watcher = Watcher(lab, out.blows, joints)
    seconds = max(CASES[name].seconds for name in names)
    result = lab.run(seconds, watcher.done)
    if not lab.guard.engaged:
        lab.clock.wait(lab.clock.now() + LIMP)
    _conclude(out, lab, result, watcher)
    return out


def draw(lab: Lab, name: str, rng: np.random.Generator) -> tuple[Blow, int]:
    """A fault of the row `name` at a joint and a moment by chance; returns the joint too."""
    case: Case = CASES[name]
    joint = int(rng.choice(case.joints))
    cameras = sorted(lab.agent.eyes.cameras) or [""]
    camera = cameras[int(rng.integers(len(cameras)))]
    text = case.text.format(joint=lab.guard.spec.names[joint], camera=camera)
    return Blow(name, text, round(float(rng.uniform(EARLIEST, LATEST)), 3)), joint


def _conclude(out: Trial, lab: Lab, result: RunResult, watcher: Watcher) -> None:
    out.outcome, out.success, out.seconds = result.outcome, bool(lab.world.success()), round(watcher.now, 3)
    out.when = {k: round(t - watcher.start, 3) for k, t in lab.monitor.when.items()}
    out.faults = [asdict(f) for f in result.faults]
    out.recoveries = [asdict(r) for r in result.recoveries]
    first = min((b.onset for b in out.blows), default=np.inf)
    out.false_alarms = [f"{f.name}: {f.reason}" for f in result.faults if f.start < first - 0.05]
    out.peaks = {k: round(v, 4) for k, v in asdict(lab.monitor.peaks).items()}
    out.over = lab.monitor.peaks.over(lab.monitor.limits)
    for blow in out.blows:
        for span in result.faults:  # one that ended the run at once
            if blow.noticed is None and span.start >= blow.onset and span.name in CASES[blow.case].notice:
                blow.noticed, blow.by = span.start, span.name
                blow.exposed = span.start if blow.exposed is None else blow.exposed
        if blow.noticed is not None and blow.at_rest is None and lab.monitor.at_rest:
            blow.at_rest = max(lab.monitor.rested - watcher.start, blow.onset)
        if lab.rescued and "watchdog" in CASES[blow.case].notice:
            blow.exposed = blow.onset if blow.exposed is None else blow.exposed
            blow.noticed, blow.by = lab.taken_over - watcher.start, "watchdog"
            if np.isfinite(lab.stood):
                blow.at_rest = lab.stood - watcher.start
        if CASES[blow.case].dies and blow.at_rest is not None:
            out.still_within = blow.at_rest - blow.onset


def shift(shop: Workshop, hours: float, number: int, seed: int) -> Trial:
    """Work without any fault: every row that comes into force is a false alarm."""
    out = Trial("shift", "fault-free", number, seed)
    rng = np.random.default_rng(seed)
    lab = Lab(shop, seed, int(rng.integers(1 << 30)))
    while lab.clock.now() < hours * 3600.0:
        try:
            result = lab.run(float(shop.config["seconds"]), lab.world.success)
        except ArmError as error:
            out.false_alarms.append(f"refused to begin: {error}")
            break
        out.kits += 1
        out.done += bool(lab.world.success())
        out.false_alarms += [f"{f.name}: {f.reason}" for f in result.faults]
        out.recoveries += [asdict(r) for r in result.recoveries]
        lab.park()
        lab.begin(int(rng.integers(1 << 30)))
    out.outcome, out.seconds = "done", round(lab.clock.now(), 3)
    out.peaks = {k: round(v, 4) for k, v in asdict(lab.monitor.peaks).items()}
    out.over = lab.monitor.peaks.over(lab.monitor.limits)
    out.success = not out.false_alarms and not out.over
    return out
