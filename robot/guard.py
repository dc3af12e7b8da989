"""The last gate before any arm: closed until engaged, and nothing wild passes it, whoever asks.

It cannot be configured away: whatever commands an arm does so through a `Guard`, in simulation too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot.errors import ArmError
from robot.interfaces import Arm, ArmSpec, ArmState, Array, Clock, Health
from robot.reach import Reach, clipped

KeepOut = Callable[[Array], str | None]  # (J,) rad -> why the arm may not stand there, or None
LONGEST_STEP = 0.05  # s, the most time one command may make use of, however late it comes
UNHEARD = 0.03  # s without a reading, after which a joint may have missed goals
TOLERANCE = 0.06  # rad that a loaded joint may stand below its goal
UNREADABLE = int(Health.SILENT | Health.CORRUPT)


@dataclass
class Interventions:
    """How often the gate had to step in since it was made."""

    refused: int = 0  # not finite, or a jump
    clamped: int = 0  # outside the joint range
    slowed: int = 0  # more than `SLOWED` rad behind what was asked
    kept_out: int = 0  # would have entered a forbidden pose

    @property
    def total(self) -> int:
        return self.refused + self.clamped + self.kept_out


SLOWED = 0.1  # rad


def limit(
    wanted: Array, q: Array, v: Array, dt: float, spec: ArmSpec, scale: float = 1.0, drift: Array | float = 0.0,
) -> tuple[Array, Array]:
    """The next goal on the way from `q`, moving at `v`, to `wanted`, which moves at `drift`: rad and rad/s, (J,).

    A step to `wanted` within `scale * spec.speed` and `spec.acceleration` passes unchanged when `wanted` itself
    moves that fast; any other becomes the fastest that is within both and can still brake before `wanted`. There
    is always room to brake before either end of the range: `v dt + v²/2a <= distance` holds from step to step
    whatever the step lengths. A start outside the range may only come back in.
    """
    a, fastest = spec.acceleration, spec.speed * scale
    lower, upper = np.minimum(spec.lower, q), np.maximum(spec.upper, q)
    gap = wanted - q
    exact = gap / dt
    eased = np.copysign(np.minimum(_braking_speed(np.abs(gap), a, dt), fastest), gap)
    passes = (np.abs(exact) <= fastest) & (np.abs(exact - v) <= a * dt)
    passes &= np.abs(exact) <= np.abs(drift) + np.abs(eased)
    speed = clipped(np.where(passes, exact, eased), v - a * dt, v + a * dt)
    speed = clipped(speed, -_braking_speed(q - lower, a, dt), _braking_speed(upper - q, a, dt))
    return clipped(q + speed * dt, lower, upper), speed


def _braking_speed(distance: Array, a: Array, dt: float) -> Array:
    out: Array = a * (np.sqrt(dt * dt + 2.0 * distance / a) - dt)
    return out


class Guard:
    """An `Arm` around an arm: refuses what is not finite or jumps, clamps range, speed and acceleration.

    `jump` (rad) is how far from the last goal a target may lie; the gripper may go from end to end.
    `keep_out` judges the pose in which the arm would come to rest, so there is always room to brake.
    `period` (s) is how often commands are meant to come: jitter about it does not show in the motion, and a
    command that comes less than half a period after the last one changes nothing. 0 takes time as it comes.
    """

    def __init__(
        self, arm: Arm, clock: Clock, keep_out: KeepOut | None = None, jump: float = 1.0, period: float = 0.0,
    ) -> None:
        self.arm, self.clock, self.keep_out, self.period = arm, clock, keep_out, period
        self.interventions = Interventions()
        self.scale = 1.0  # fraction of the allowed speed, lowered for degraded work
        self.reason = ""  # why the last command was changed, for a person
        self._jump = np.full(len(arm.spec.names), jump)
        self._jump[-1] = np.inf
        self._goal: Array | None = None
        self._speed = np.zeros(len(arm.spec.names))
        self._wanted = self._speed
        self._unheard = np.zeros(len(arm.spec.names), dtype=bool)
        self._reach = Reach(len(arm.spec.names))
        self._then = 0.0

    @property
    def spec(self) -> ArmSpec:
        return self.arm.spec

    @property
    def engaged(self) -> bool:
        return self._goal is not None

    @property
    def goal(self) -> Array:
        """(J,) rad, the last goal that was allowed; nan while limp. Less is sent to a joint that does not get there."""
        return np.full(len(self.spec.names), np.nan) if self._goal is None else self._goal.copy()

    @property
    def speed(self) -> Array:
        """(J,) rad/s, at which the goal is moving."""
        return self._speed.copy()

    @property
    def strain(self) -> Array:
        """(J,) the most effort that each joint showed where it stands now."""
        return self._reach.strain.copy()

    def open(self) -> None:
        self._goal = None
        self.arm.open()

    def engage(self) -> None:
        """Take the present pose as goal, then torque on. Raises `ArmError` when a joint cannot be read."""
        self._goal = None
        self._seed()
        try:
            self.arm.engage()
        except Exception:
            self._goal = None
            raise

    def reseed(self, tolerance: float = TOLERANCE) -> None:
        """Take the present pose as goal where it is more than `tolerance` rad from it, as after an outage.

        A loaded joint stands a little below its goal; seeding that from the present would let it sink each
        time. Raises `ArmError` when limp, or when a joint cannot be read.
        """
        if self._goal is None:
            raise ArmError(f"{self.spec.name} is limp; engage() it before it can hold a new goal")
        held = self._goal
        self._seed()
        self._goal = np.where(np.abs(self._goal - held) > tolerance, self._goal, held)
        self.arm.command(self.goal)

    def yield_to(self, q: Array, joints: NDArray[np.bool_]) -> None:
        """Let the goals of `joints` (J,) bool, which have no torque, go where they were moved to: `q` (J,) rad.

        So a joint that gets its torque back holds where it is. Nothing is sent.
        """
        if self._goal is not None and True in joints.tolist():
            self._goal = np.where(joints & np.isfinite(q), q, self._goal)
            self._speed = np.where(joints, 0.0, self._speed)

    def _seed(self) -> None:
        state = self.arm.read()
        bad = (state.health & UNREADABLE != 0) | ~np.isfinite(state.q)
        if bad.any():
            names = ", ".join(name for name, b in zip(self.spec.names, bad) if b)
            raise ArmError(f"cannot hold {self.spec.name}: {names} cannot be read; check the servo and its cable")
        self._goal, self._speed, self._then = state.q.copy(), np.zeros_like(state.q), self.clock.now()
        self._wanted, self._reach = self._goal, Reach(len(state.q))

    def read(self) -> ArmState:
        """The present state. A joint that was not heard for a while, and may not have heard either, goes on from
        where it is: its goal has moved on without it, and sent at once it would make it lunge."""
        state = self.arm.read()
        unheard = state.age > UNHEARD
        if self._goal is not None:
            back = self._unheard & ~unheard & (np.abs(state.q - self._goal) > TOLERANCE)
            self.yield_to(state.q, back)
            self.yield_to(state.q, self._reach.see(state, self._goal, ~unheard))
        self._unheard = unheard
        return state

    def command(self, q: Array) -> Array:
        """Send what is allowed of the target `q` (J,) rad; returns what was sent.

        A target that is not finite or jumps is refused whole: the arm brakes. Raises `ArmError` when limp or
        when the shape is wrong.
        """
        if self._goal is None:
            raise ArmError(f"{self.spec.name} is limp; engage() it before commanding it")
        wanted = np.asarray(q, dtype=np.float64)
        if wanted.shape != self._goal.shape:
            raise ArmError(f"{self.spec.name} has {len(self._goal)} joints, but {wanted.shape} targets came")
        dt = self._elapsed()
        if dt <= 0.0:
            return self._goal.copy()
        goal, speed = self._allowed(wanted, dt)
        sent: Array = np.array(self.arm.command(self._reach.within(goal, speed)))
        self._goal, self._speed = goal, speed
        return sent

    def _elapsed(self) -> float:
        """Seconds that this command may use, counted so that jitter neither shows nor adds up."""
        now = self.clock.now()
        since = now - self._then
        if self.period <= 0.0 or since > LONGEST_STEP:
            self._then = now
            return min(since, LONGEST_STEP)
        used = round(since / self.period) * self.period
        self._then += used
        return used

    def _allowed(self, wanted: Array, dt: float) -> tuple[Array, Array]:
        assert self._goal is not None
        spec, held = self.spec, self._goal
        self.reason = self._refusal(wanted)
        if self.reason:
            self.interventions.refused += 1
            return limit(held, held, self._speed, dt, spec, self.scale)
        inside = clipped(wanted, spec.lower, spec.upper)
        if True in (np.abs(inside - wanted) > 1e-6).tolist():
            self.interventions.clamped += 1
        drift, self._wanted = (inside - self._wanted) / dt, inside
        goal, speed = limit(inside, held, self._speed, dt, spec, self.scale, drift)
        if self.keep_out is not None:
            rest = goal + np.copysign(speed * speed / (2.0 * spec.acceleration), speed)
            why = self.keep_out(rest)
            if why:
                self.reason = why
                self.interventions.kept_out += 1
                return limit(held, held, self._speed, dt, spec, self.scale)
        if True in (np.abs(goal - inside) > SLOWED).tolist():
            self.interventions.slowed += 1
        return goal, speed

    def _refusal(self, wanted: Array) -> str:
        assert self._goal is not None
        if False in np.isfinite(wanted).tolist():
            bad = ", ".join(n for n, w in zip(self.spec.names, wanted) if not np.isfinite(w))
            return f"the target of {bad} is not a number"
        far = np.abs(wanted - self._goal) - self._jump
        worst = int(far.argmax())
        if far[worst] > 0.0:
            return f"{self.spec.names[worst]} was asked to jump by {wanted[worst] - self._goal[worst]:+.2f} rad"
        return ""

    def relax(self) -> None:
        self._goal = None
        self.arm.relax()

    def close(self) -> None:
        self._goal = None
        self.arm.close()
