"""The one control loop, in simulation and on hardware alike: observe, supervise, act, record."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from robot.behaviour import Behaviour, Happening
from robot.clock import ticks
from robot.errors import ArmError
from robot.guard import Guard, Interventions
from robot.interfaces import (
    ArmState,
    Array,
    BusStats,
    Camera,
    Chunk,
    Clock,
    Frame,
    Image,
    Mode,
    Observation,
    Response,
    Snapshot,
    Verdict,
)
from robot.planner import Planner, Schedule
from robot.recorder import NullRecorder, Recorder
from robot.supervisor import Supervisor

LATELY = 2.0  # s over which the bus's damage is counted
LATE = 0.3  # s that the arm may be behind its plan
TRAVEL = 0.25  # s over which a joint that moves must have got somewhere


@dataclass(frozen=True)
class FaultSpan:
    """One fault from the cycle it came into force to the cycle it was gone; times from the start of the run."""

    name: str
    reason: str
    start: float  # s
    end: float  # s, of the run's end when it never went


@dataclass
class RunResult:
    """What one run was like. `outcome`: done, timeout, parked, limp or stopped."""

    outcome: str = "timeout"
    seconds: float = 0.0
    ticks: int = 0
    late: int = 0  # cycles that began more than one period late
    latency: float = float("nan")  # s, mean from observation to chunk
    modes: list[tuple[float, str]] = field(default_factory=list)  # (s from start, mode that began)
    faults: list[FaultSpan] = field(default_factory=list)
    recoveries: list[Happening] = field(default_factory=list)
    interventions: Interventions = field(default_factory=Interventions)
    dropped: int = 0  # chunk rows that came too late


class Eyes:
    """Keeps the newest picture of every camera, its age, and how often it came unchanged."""

    def __init__(self, cameras: Mapping[str, Camera], max_age: float = 0.5) -> None:
        self.cameras, self.max_age = cameras, max_age
        self.frames: dict[str, Frame] = {}
        self.repeats = dict.fromkeys(cameras, 0)
        self.age: dict[str, float] = {}  # s, at the last look
        self.level: dict[str, float] = {}  # mean brightness in [0, 1]
        self.change: dict[str, float] = {}  # mean change of brightness since the picture before
        self._samples: dict[str, Image] = {}
        self._sums: dict[str, int] = {}

    def forget(self) -> None:
        """What comes next is another scene, and no change of the last one."""
        self._samples.clear()
        self._sums.clear()
        self.change.clear()
        self.repeats = dict.fromkeys(self.cameras, 0)

    def look(self, now: float) -> bool:
        """Read every camera; False when one of them has no picture that is new enough."""
        for name, camera in self.cameras.items():
            try:
                frame = camera.read(self.max_age)
            except TimeoutError:
                self.age[name] = now - self.frames[name].stamp if name in self.frames else np.inf
                continue
            if name not in self.frames or frame.stamp > self.frames[name].stamp:
                sample = frame.rgb[::4, ::4]
                total = zlib.crc32(sample.tobytes())
                self.level[name] = float(sample.mean()) / 255.0
                same = self._sums.get(name) == total
                self.repeats[name] = self.repeats[name] + 1 if same else 0
                self._sums[name] = total
                before = self._samples.get(name, sample)
                if before.shape == sample.shape:
                    self.change[name] = float(np.abs(sample - before.astype(np.float32)).mean()) / 255.0
                self._samples[name] = sample
            self.frames[name] = frame
            self.age[name] = now - frame.stamp
        return self.enough(())

    def spare(self, trained: tuple[str, ...]) -> tuple[str, ...]:
        """Those cameras of `trained` that may fail: all of them, as long as one gives pictures."""
        return trained if any(age <= self.max_age for age in self.age.values()) else ()

    def enough(self, spare: tuple[str, ...]) -> bool:
        """Whether every camera but those of `spare` has a picture that is new enough."""
        return all(age <= self.max_age or name in spare for name, age in self.age.items())

    def fresh(self) -> dict[str, Frame]:
        """The pictures that are new enough."""
        return {name: frame for name, frame in self.frames.items() if self.age[name] <= self.max_age}


def demand(chunk: Chunk, now: float, goal: Array) -> Array:
    """(J,) rad/s, the speed that it takes to be at each row of `chunk` no more than `LATE` s after it is due."""
    due = chunk.t0 + chunk.dt * np.arange(len(chunk.q)) - now
    out: Array = (np.abs(chunk.q - goal) / (np.maximum(due, 0.0) + LATE)[:, None]).max(axis=0)
    return out


class Agent:
    """Runs a planner on an arm.

    `rate` is cycles a second; `replan` s pass between requests for a chunk; cameras are looked at for a request
    and, where `watch` is given, every `watch` s as well (in simulation every look is a rendering). `beat` is
    called at the end of every cycle, the watchdog's heartbeat, and returns how long ago (s) the watchdog showed
    itself. `stats` and `notes` tell what the bus counted and what else is known to be wrong.
    """

    def __init__(
        self, arm: Guard, cameras: Mapping[str, Camera], planner: Planner, supervisor: Supervisor,
        clock: Clock, recorder: Recorder | None = None, rate: float = 30.0, replan: float = 0.4,
        watch: float = np.inf, stats: Callable[[], BusStats] = BusStats, beat: Callable[[], float] | None = None,
        notes: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self.arm, self.planner, self.supervisor, self.clock = arm, planner, supervisor, clock
        self.recorder = recorder or NullRecorder()
        self.rate, self.replan, self.watch, self.stats, self.beat, self.notes = rate, replan, watch, stats, beat, notes
        arm.period = 1.0 / rate
        self.eyes = Eyes(cameras)
        self.schedule = Schedule()
        self.behaviour = Behaviour(arm, supervisor, planner, 1.0 / rate)
        self.result = RunResult()
        self.verdict = Verdict(Response.NONE, (), {}, True)  # on the newest cycle
        self._open: dict[str, tuple[float, str]] = {}
        self._next_look = self._next_request = self._asked = self._start = clock.now()
        self._latencies: list[float] = []
        self._beat_age = 0.0
        self._previous: ArmState | None = None
        self._rest_voltage = float("nan")
        self._demand: Array | None = None
        self._stood: deque[tuple[float, Array]] = deque()  # s, (J,) rad
        self._counted: deque[tuple[float, BusStats]] = deque()

    @property
    def last_state(self) -> ArmState | None:
        """The arm as it was last read; None before the first cycle."""
        return self._previous

    def check(self) -> Verdict:
        """One cycle of looking without touching: what would forbid work now. The arm stays as it is."""
        now, state = self.clock.now(), self.arm.read()
        self.eyes.look(now)
        if self.behaviour.mode is Mode.LIMP and np.isfinite(state.voltage).any():
            self._rest_voltage = float(np.nanmedian(state.voltage))
        return self._judge(self._snapshot(now, state, 0.0), self.arm.goal)

    def forgive(self) -> tuple[str, ...]:
        """Let go of faults that the arm mends by itself, where they have gone; returns their names."""
        freed = self.supervisor.reset(f.name for f in self.supervisor.faults if f.recover is not None)
        if freed:
            self.recorder.event(self.clock.now(), "reset", names=list(freed))
        return freed

    def _judge(self, snapshot: Snapshot, sent: Array) -> Verdict:
        self.verdict = verdict = self.supervisor.update(snapshot)
        self._previous = snapshot.state
        self.recorder.cycle(snapshot, verdict, sent)
        return verdict

    def run(self, instruction: str, seconds: float, done: Callable[[], bool] | None = None,
            home: bool = False) -> RunResult:
        """Work on `instruction` until `done()`, at most `seconds`. Ends as it stands, or limp after a fault.

        With `home` the arm goes to its home pose before work, when it is far from there. Raises `ArmError`
        when a fault forbids to begin.
        """
        self._begin(instruction, home)
        start = self._start = self.clock.now()
        for tick in ticks(self.clock, self.rate):
            self.result.seconds = self.clock.now() - start
            if self.behaviour.mode is Mode.LIMP:
                self.result.outcome = "parked" if self._parked() else "limp"
                break
            if self.result.seconds >= seconds:
                break
            if done is not None and done():
                self.result.outcome = "done"
                break
            self.result.ticks += 1
            self.result.late += tick.late > 1.0 / self.rate
            self.cycle(tick.late, start)
        return self._finish(start)

    def park(self) -> None:
        """Go to the parking pose slowly and let go there; returns when limp."""
        self.behaviour.finishing = True
        for tick in ticks(self.clock, self.rate):
            if self.behaviour.mode is Mode.LIMP:
                return
            self.cycle(tick.late, self._start)

    def stop(self) -> None:
        """Ask, from anywhere, for the run to end by parking."""
        self.behaviour.finishing = True

    def cycle(self, late: float, start: float) -> None:
        """One period: observe, supervise, act, record."""
        now, state = self.clock.now(), self.arm.read()
        if self.behaviour.mode is Mode.ACTIVE:
            self._plan(now, state)
        if now >= self._next_look:
            self.eyes.look(now)
            self._next_look = now + self.watch
        snapshot = self._snapshot(now, state, late)
        self.verdict = verdict = self.supervisor.update(snapshot)
        mode = self.behaviour.mode
        target = self.behaviour.step(snapshot, verdict)
        sent = self.arm.goal if target is None else self.arm.command(target)
        self._previous = state
        self.recorder.cycle(snapshot, verdict, sent)
        self._note(snapshot, verdict, mode, start)
        if self.beat is not None:
            self._beat_age = self.beat()

    def _begin(self, instruction: str, home: bool) -> None:
        self.result = RunResult()
        self.schedule, self._demand = Schedule(), None
        self._next_request = self._next_look = self.clock.now()
        self._asked = self.clock.now()
        self._latencies = []
        self._interventions = Interventions(**vars(self.arm.interventions))
        self._recovered = len(self.behaviour.happenings)
        self.planner.reset(instruction)
        self._previous = None  # the scene may have been put anew
        self._stood.clear()
        self.eyes.forget()
        self.check()
        if self.forgive():  # what has gone since it stood against something when it parked
            self.check()
        self._open = {}
        if not self.verdict.may_engage:
            raise ArmError("; ".join(f"{k}: {v}" for k, v in self.verdict.reasons.items()))
        self.behaviour.start(self.clock.now(), home)
        self.result.modes.append((0.0, self.behaviour.mode.value))
        self.recorder.event(self.clock.now(), "begin", instruction=instruction)

    def _plan(self, now: float, state: ArmState) -> None:
        if now >= self._next_request - 1e-9:
            self.eyes.look(now)
            enough = self.eyes.enough(self.eyes.spare(self.planner.spare))
            if enough and self.planner.request(Observation(now, state, self.eyes.fresh())):
                self._asked, self._next_request = now, now + self.replan
        chunk = self.planner.poll()
        if chunk is not None:
            self._latencies.append(self.clock.now() - self._asked)
            self._demand = demand(chunk, now, self.arm.goal)
            self.schedule.push(chunk, now, self.behaviour.mover.q)

    def _travel(self, now: float, state: ArmState) -> Array | None:
        """(J,) rad, how far apart each joint's positions of the last `TRAVEL` s are."""
        rows = self._stood
        rows.append((now, state.q))
        if now - rows[0][0] < TRAVEL:
            return None
        while len(rows) > 2 and now - rows[1][0] >= TRAVEL:
            rows.popleft()
        every = np.array([q for _, q in rows])
        out: Array = np.maximum.reduce(every) - np.minimum.reduce(every)
        return out

    def _lately(self, now: float) -> BusStats:
        """The bus's counters over the last `LATELY` s."""
        rows = self._counted
        while rows[0][0] < now - LATELY:
            rows.popleft()
        return rows[-1][1].since(rows[0][1])

    def _snapshot(self, now: float, state: ArmState, late: float) -> Snapshot:
        active = self.behaviour.mode is Mode.ACTIVE
        self._counted.append((now, self.stats()))
        newest = max(self.schedule.arrived, self.behaviour.resumed)
        return Snapshot(
            now=now, mode=self.behaviour.mode, spec=self.arm.spec, state=state, goal=self.arm.goal,
            action=self.schedule.target(now + 1.0 / self.rate) if active else None,
            frame_age=dict(self.eyes.age), frame_repeats=dict(self.eyes.repeats),
            chunk_age=now - newest if active else np.inf, loop_late=late, bus=self._counted[-1][1],
            previous=self._previous, frame_level=dict(self.eyes.level), beat_age=self._beat_age,
            rest_voltage=self._rest_voltage, notes=self.notes() + self.recorder.notes(),
            frame_change=dict(self.eyes.change), travel=self._travel(now, state),
            strain=self.arm.strain,
            demand=self._demand if active else None, lately=self._lately(now),
            spare=self.eyes.spare(self.planner.spare),
        )

    def _note(self, s: Snapshot, verdict: Verdict, before: Mode, start: float) -> None:
        t, mode = s.now - start, self.behaviour.mode
        if self.behaviour.freed:
            self.recorder.event(s.now, "reset", names=list(self.behaviour.freed))
            self.behaviour.freed = ()
        if mode is not before:
            self.result.modes.append((t, mode.value))
            self.recorder.event(s.now, "mode", mode=mode.value, was=before.value)
            if mode is Mode.ACTIVE or before is Mode.ACTIVE:
                self.schedule.clear()
                self._demand = None
                self._next_request = s.now
        for name in verdict.active:
            if name not in self._open:
                self._open[name] = (t, verdict.reasons[name])
                self.recorder.event(s.now, "fault", name=name, reason=verdict.reasons[name])
        for name in [n for n in self._open if n not in verdict.active]:
            began, reason = self._open.pop(name)
            self.result.faults.append(FaultSpan(name, reason, began, t))
            self.recorder.event(s.now, "clear", name=name)

    def _parked(self) -> bool:
        q = self.arm.read().q
        return bool(np.nanmax(np.abs(q - self.arm.spec.park)) < 0.2)

    def _finish(self, start: float) -> RunResult:
        r, now = self.result, self.clock.now() - start
        r.faults += [FaultSpan(n, reason, began, now) for n, (began, reason) in self._open.items()]
        if self.behaviour.finishing:
            r.outcome = "stopped"
        r.latency = float(np.mean(self._latencies)) if self._latencies else float("nan")
        r.recoveries = self.behaviour.happenings[self._recovered :]
        for key, value in vars(self.arm.interventions).items():
            setattr(r.interventions, key, value - getattr(self._interventions, key))
        r.dropped = self.schedule.dropped
        self.recorder.event(self.clock.now(), "end", outcome=r.outcome)
        return r
