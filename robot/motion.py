"""Every motion of an arm comes out of one jerk-limited generator, so nothing above it can make the arm jerk."""

from __future__ import annotations

import numpy as np
import ruckig
from numpy.typing import NDArray

from robot.errors import ArmError
from robot.interfaces import ArmSpec, Array

Mask = NDArray[np.bool_]  # (J,)
RESERVE = 0.8  # of the allowed acceleration; the rest is the guard's to brake with
RISE = 0.025  # s, in which acceleration may build up: jerk = acceleration / RISE
STILL = 1e-3  # rad/s


class Mover:
    """Position, speed and acceleration of the commanded point; each call moves it on by one period.

    The generator is Ruckig (Berscheid and Kröger 2021): time-optimal within speed, acceleration and jerk.
    A call that comes late moves it by one period all the same: a frozen loop never becomes a leap.
    """

    def __init__(self, spec: ArmSpec, period: float, scale: float = 1.0) -> None:
        """`period` s between calls; `scale` of the allowed speed."""
        self.spec, self.period, self.scale = spec, period, scale
        n = len(spec.names)
        self._otg = ruckig.Ruckig(n, period)
        self._in, self._out = ruckig.InputParameter(n), ruckig.OutputParameter(n)
        self._in.max_acceleration = spec.acceleration * RESERVE
        self._in.max_jerk = spec.acceleration / RISE
        self._last: Array | None = None
        self.seed((spec.lower + spec.upper) / 2.0)

    @property
    def q(self) -> Array:
        """(J,) rad, where the commanded point is."""
        return np.array(self._in.current_position)

    @property
    def dq(self) -> Array:
        """(J,) rad/s."""
        return np.array(self._in.current_velocity)

    @property
    def still(self) -> bool:
        return bool(np.abs(self._in.current_velocity).max() < STILL)

    def seed(self, q: Array) -> None:
        """Start from rest at `q` (J,) rad."""
        zero = np.zeros(len(q))
        self._in.current_position, self._in.current_velocity, self._in.current_acceleration = q, zero, zero
        self._last = None

    def put(self, q: Array, joints: Mask) -> None:
        """Start `joints` (J,) bool from rest at `q` (J,) rad; the others go on as they are."""
        for name, new in (("position", q), ("velocity", 0.0), ("acceleration", 0.0)):
            key = f"current_{name}"
            setattr(self._in, key, np.where(joints, new, np.array(getattr(self._in, key))))
        self._last = None

    def follow(self, q: Array) -> Array:
        """Track a target that moves: `q` (J,) rad is where it is at the end of this period."""
        drift = np.zeros_like(q) if self._last is None else (q - self._last) / self.period
        self._last = np.array(q)
        bound = np.minimum(0.95 * self.spec.speed * self.scale, self._reachable(np.sign(drift)))
        return self._update(q, drift.clip(-bound, bound), ruckig.Synchronization.No)

    def _reachable(self, way: Array) -> Array:
        """(J,) rad/s, at most so fast a moving target is met; to meet it faster would take a run-up backwards."""
        now = np.maximum(self.dq * way, 0.0)
        out: Array = now + RESERVE * self.spec.acceleration * self.period
        return out

    def toward(self, q: Array) -> Array:
        """Go to `q` (J,) rad and stand there; all joints arrive together."""
        self._last = None
        return self._update(q, np.zeros(len(q)), ruckig.Synchronization.Time)

    def stop(self) -> Array:
        """Come to rest as soon as the limits allow, and stay."""
        self._last = None
        self._in.control_interface = ruckig.ControlInterface.Velocity
        self._in.synchronization = ruckig.Synchronization.No
        return self._advance(np.zeros(len(self.spec.names)))

    def _update(self, q: Array, velocity: Array, synchronization: ruckig.Synchronization) -> Array:
        self._in.control_interface = ruckig.ControlInterface.Position
        self._in.synchronization = synchronization
        self._in.target_position = q
        return self._advance(velocity)

    def _advance(self, velocity: Array) -> Array:
        self._in.max_velocity = self.spec.speed * self.scale
        self._in.target_velocity = velocity
        try:
            result = self._otg.update(self._in, self._out)
        except ruckig.RuckigError:  # now and then it finds no common time; then each joint takes its own
            self._in.synchronization = ruckig.Synchronization.No
            result = self._otg.update(self._in, self._out)
        if result not in (ruckig.Result.Working, ruckig.Result.Finished):
            raise ArmError(f"no motion within the limits of {self.spec.name} ({result.name}); stop it and restart")
        self._out.pass_to_input(self._in)
        return self.q
