"""An umpire for virtual arms: what the joints really did, whoever commanded them, and whether it was allowed."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hardware.protocols.tables import RAD_PER_COUNT
from hardware.virtual import faults
from hardware.virtual.rig import Rig
from robot.interfaces import ArmSpec, Array, Plant

Mask = NDArray[np.bool_]  # (J,)
LOOK = 0.005  # s between two looks
WINDOW = 10  # looks over which speed, acceleration and force are taken: what gears can feel
REST = 20  # looks that make a rest
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
        self.forget()

    def forget(self) -> None:
        """The scene was put anew: no motion leads from before to now."""
        joints = len(self.spec.names)
        self._q: Array = np.zeros((REST + 1, joints))  # rad, the last looks, oldest first
        self._goals: Array = np.zeros((REST + 1, joints))  # rad, where the servos drove them
        self._driven: Mask = np.zeros((REST + 1, joints), dtype=bool)  # which joints had torque
        self._looks = 0
        self._forces: deque[float] = deque(maxlen=WINDOW)
        self._broken = -np.inf  # s, when a fault of servos, bus or supply was last in force
        self.rested = np.inf

    def look(self, now: float) -> None:
        """Take in the state at `now` (s)."""
        rig, spec, self._now = self.rig, self.spec, now
        for rows, new in ((self._q, rig.state.q), (self._driven, self._torque_on()), (self._goals, self._goal())):
            rows[:-1], rows[-1] = rows[1:], new
        if rig.effects != faults.NONE:
            self._broken = now
        self._looks += 1
        self._forces.append(self.plant.table_force())
        self._note("position", float(np.maximum(spec.lower - self._q[-1], self._q[-1] - spec.upper).max()))
        self._note("force", sum(self._forces) / len(self._forces))
        self._motion()
        self._rest(now)
        self.hottest = max(self.hottest, float(rig.heat.celsius.max()))
        current = sum(abs(u.sensed.current) for u in rig.units)
        self.energy += current * rig.supply.voltage * LOOK

    def _torque_on(self) -> list[bool]:
        """(J,) whether all servos of a joint may push."""
        out = [True] * len(self.spec.names)
        for unit in self.rig.units:
            out[unit.joint] = out[unit.joint] and unit.powered and unit.drive.torque > 0.0
        return out

    def _goal(self) -> list[float]:
        """(J,) rad."""
        q: list[float] = self.rig.state.q.tolist()
        out = q.copy()
        for unit in self.rig.units:
            gap = (unit.drive.goal - unit.sensed.position) * RAD_PER_COUNT * unit.sign
            out[unit.joint] = q[unit.joint] + gap
        return out

    def _bumped(self) -> Mask:
        """Joints that stayed near their goals while nothing was broken: what threw them was not their servos."""
        rows = slice(-2 * WINDOW - 1, None)
        out: Mask = np.abs(self._goals[rows] - self._q[rows]).max(axis=0) < STRAY
        return out & (self._now - self._broken > 2 * WINDOW * LOOK)

    def _motion(self) -> None:
        if self._looks < 2 * WINDOW + 1:
            return
        middle, end = self._q[-WINDOW - 1], self._q[-1]
        driven: Mask = np.logical_and.reduce(self._driven[-2 * WINDOW - 1 :])
        span = WINDOW * LOOK
        driven[list(self.beyond)] = False
        driven[-1] = False  # a gripper snaps shut when what it holds slips out
        speed = np.abs(end - middle) / span / self.spec.speed * driven
        change = np.where(self._bumped(), _bend(self._goals), _bend(self._q)) / span**2
        change *= driven / self.spec.acceleration
        worst = int(change.argmax())
        self._note("speed", float(speed.max()))
        self._note("acceleration", float(change[worst]), worst)

    def _rest(self, now: float) -> None:
        still = self._looks > REST and bool((self._q.max(axis=0) - self._q.min(axis=0)).max() < DRIFT)
        self.rested = min(self.rested, now - REST * LOOK) if still else np.inf

    def _note(self, name: str, value: float, joint: int = -1) -> None:
        if value > getattr(self.peaks, name):
            setattr(self.peaks, name, value)
            self.when[name] = self._now
            self.worst = joint if joint >= 0 else self.worst

    @property
    def at_rest(self) -> bool:
        """Whether every joint has stood still long enough to say so."""
        return bool(np.isfinite(self.rested))


def _bend(rows: Array) -> Array:
    """(J,) rad, by how much the second `WINDOW` of positions leads on differently from the first."""
    out: Array = np.abs(rows[-1] - 2.0 * rows[-WINDOW - 1] + rows[-2 * WINDOW - 1])
    return out
