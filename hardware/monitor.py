"""An umpire for virtual arms: what the joints really did, whoever commanded them, and whether it was allowed."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Protocol

import numpy as np

from hardware.protocols.tables import RAD_PER_COUNT
from hardware.virtual import faults
from hardware.virtual.rig import Rig
from robot.interfaces import ArmSpec, Plant

LOOK = 0.005  # s between two looks
WINDOW = 10  # looks over which speed, acceleration and force are taken: what gears can feel
REST = 20  # looks that make a rest
ROWS = 2 * WINDOW + 1  # looks that are remembered, and that a rest lies between
DRIFT = 0.015  # rad, by which a joint at rest may hunt about its goal
STRAY = 0.1  # rad from its goal, about where a servo begins to drive its joint faster than the arm's own speed


@dataclass(frozen=True)
class Limits:
    """What must never be exceeded; speed and acceleration by the arm's joints that have torque."""

    position: float = 0.05  # rad outside the joint's range
    speed: float = 1.15  # of the arm's own
    acceleration: float = 3.0  # of the arm's own
    force: float = 50.0  # N between arm and table


class Pressed(Plant, Protocol):
    """Mechanics that know how hard the arm presses on the table."""

    def table_force(self) -> float:
        """N, at this moment."""
        ...


@dataclass
class Peaks:
    """The largest of each, in the units of `Limits`."""

    position: float = 0.0
    speed: float = 0.0
    acceleration: float = 0.0
    force: float = 0.0

    def over(self, limits: Limits) -> list[str]:
        """Which limits were exceeded."""
        allowed = asdict(limits)
        return [name for name, value in asdict(self).items() if value > allowed[name]]

    def join(self, other: Peaks) -> None:
        for name, value in asdict(other).items():
            setattr(self, name, max(getattr(self, name), value))


@dataclass
class Monitor:
    """Looks every 5 ms at the true joints."""

    spec: ArmSpec
    limits: Limits
    rig: Rig
    plant: Pressed
    peaks: Peaks = field(default_factory=Peaks)
    when: dict[str, float] = field(default_factory=dict)  # s, of each peak
    beyond: set[int] = field(default_factory=set)  # joints whose encoder lies or motor fails: only the servo can act
    worst: int = 0  # the joint that changed its speed most
    hottest: float = 0.0  # °C
    energy: float = 0.0  # J, drawn from the supply
    rested: float = np.inf  # s, since when every joint stands still; inf while one moves

    def __post_init__(self) -> None:
        spec = self.spec
        self._bounds = np.column_stack((spec.lower, spec.upper, spec.speed, spec.acceleration)).tolist()
        self.forget()

    def forget(self) -> None:
        """The scene was put anew: no motion leads from before to now."""
        joints = len(self.spec.names)
        self._q: deque[list[float]] = deque(maxlen=ROWS)  # rad, the last looks, oldest first
        self._goals: deque[list[float]] = deque(maxlen=ROWS)  # rad, where the servos drove them
        self._driven = [0] * joints  # looks since a joint had no torque
        self._near = [0] * joints  # looks since a joint was far from its goal
        self._forces: deque[float] = deque(maxlen=WINDOW)
        self._broken = -math.inf  # s, when a fault of servos, bus or supply was last in force
        self.rested = math.inf

    def look(self, now: float) -> None:
        """Take in the state at `now` (s)."""
        rig, self._now = self.rig, now
        # Floats, not arrays, as in a tick of the rig: this runs twice a cycle.
        q: list[float] = rig.state.q.tolist()
        goals = self._goal(q)
        self._q.append(q)
        self._goals.append(goals)
        for j, torque in enumerate(self._torque_on()):
            self._driven[j] = self._driven[j] + 1 if torque else 0
            self._near[j] = self._near[j] + 1 if abs(goals[j] - q[j]) < STRAY else 0
        if rig.effects != faults.NONE:
            self._broken = now
        self._forces.append(self.plant.table_force())
        self._note("position", max(max(low - x, x - high) for x, (low, high, *_) in zip(q, self._bounds)))
        self._note("force", sum(self._forces) / len(self._forces))
        if len(self._q) == ROWS:
            self._motion()
        self._rest(now)
        self.hottest = max(self.hottest, *rig.heat.celsius)
        current = sum(abs(u.sensed.current) for u in rig.units)
        self.energy += current * rig.supply.voltage * LOOK

    def _torque_on(self) -> list[bool]:
        """(J,) whether all servos of a joint may push."""
        out = [True] * len(self.spec.names)
        for unit in self.rig.units:
            out[unit.joint] = out[unit.joint] and unit.powered and unit.drive.torque > 0.0
        return out

    def _goal(self, q: list[float]) -> list[float]:
        """(J,) rad, where the servos drive joints that are at `q`."""
        out = q.copy()
        for unit in self.rig.units:
            gap = (unit.drive.goal - unit.sensed.position) * RAD_PER_COUNT * unit.sign
            out[unit.joint] = q[unit.joint] + gap
        return out

    def _motion(self) -> None:
        """Speed and change of speed. A joint that stayed near its goal while nothing was broken was not thrown by its
        servo, whatever it was thrown by: there the goal counts."""
        first, middle, end = self._q[0], self._q[WINDOW], self._q[-1]
        at_work = self._now - self._broken > 2 * WINDOW * LOOK
        span, fastest, most, worst = WINDOW * LOOK, 0.0, 0.0, 0
        for j in range(len(end) - 1):  # a gripper snaps shut when what it holds slips out
            if self._driven[j] < ROWS or j in self.beyond:
                continue
            _, _, speed, acceleration = self._bounds[j]
            fastest = max(fastest, abs(end[j] - middle[j]) / span / speed)
            if at_work and self._near[j] >= ROWS:
                bend = self._goals[-1][j] - 2.0 * self._goals[WINDOW][j] + self._goals[0][j]
            else:
                bend = end[j] - 2.0 * middle[j] + first[j]
            change = abs(bend) / span**2 * (1.0 / acceleration)
            if change > most:
                most, worst = change, j
        self._note("speed", fastest)
        self._note("acceleration", most, worst)

    def _rest(self, now: float) -> None:
        still = len(self._q) == ROWS and all(abs(b - a) < DRIFT for a, b in zip(self._q[0], self._q[-1]))
        still = still and bool(np.ptp(np.array(self._q), axis=0).max() < DRIFT)
        self.rested = min(self.rested, now - REST * LOOK) if still else math.inf

    def _note(self, name: str, value: float, joint: int = -1) -> None:
        if value > getattr(self.peaks, name):
            setattr(self.peaks, name, value)
            self.when[name] = self._now
            self.worst = joint if joint >= 0 else self.worst

    @property
    def at_rest(self) -> bool:
        """Whether every joint has stood still long enough to say so."""
        return math.isfinite(self.rested)

