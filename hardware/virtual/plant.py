"""Joint dynamics without a physics engine: gravity, friction, play, and servos that can only push so hard."""

from __future__ import annotations

import math

import numpy as np

from hardware.virtual.gravity import Gravity
from robot.arms import ArmModel
from robot.interfaces import Array, PlantState
from robot.registry import option

SUBSTEP = 1e-3  # s
GRAVITY_EVERY = 0.01  # s; an arm's pose changes little in that time


@option("plant", "joints")
class JointPlant:
    """Each joint on its own: reflected inertia, Coulomb and viscous friction, gravity of the whole arm."""

    def __init__(self, model: ArmModel, friction: float = 0.06, damping: float = 0.12, stiffness: float = 18.0,
                 speed: float = 5.2) -> None:
        """`friction` N·m, `damping` N·m·s/rad, `stiffness` of the position loop as a multiple of stall torque
        a rad, `speed` rad/s without load. The arm starts parked."""
        self.names, self.lower, self.upper = model.names, model.spec.lower, model.spec.upper
        self.stall: Array = np.array([j.torque for j in model.joints])
        self._gravity = Gravity(model)
        self._inertia = self._gravity.inertia(np.zeros(len(model.names))) + 0.012
        self._friction, self._damping, self._speed = friction, damping, speed
        self._stiffness = stiffness * self.stall
        self._brake = 2.0 * np.sqrt(self._stiffness * self._inertia)
        self.q: Array = model.spec.park.copy()  # (J,) rad
        self.dq: Array = np.zeros(len(model.names))  # (J,) rad/s
        self._fall = self._gravity.torque(self.q)
        self._fall_age = 0.0

    def place(self, q: Array) -> None:
        """Put the joints at `q` (J,) rad, at rest."""
        self.q, self.dq = np.clip(q, self.lower, self.upper), np.zeros_like(self.q)
        self._fall = self._gravity.torque(self.q)

    def step(self, dt: float, goal: Array, torque: Array) -> PlantState:
        """Advance `dt` s towards `goal` (J,) rad with at most `torque` (J,) N·m a joint."""
        count = max(1, math.ceil(dt / SUBSTEP - 1e-9))
        h = dt / count
        applied = np.zeros_like(self.q)
        for _ in range(count):
            applied = self._substep(h, goal, torque)
        self._fall_age += dt
        if self._fall_age >= GRAVITY_EVERY:
            self._fall, self._fall_age = self._gravity.torque(self.q), 0.0
        return PlantState(self.q.copy(), self.dq.copy(), applied)

    def _substep(self, h: float, goal: Array, torque: Array) -> Array:
        wanted = self._stiffness * (goal - self.q) - self._brake * self.dq
        # back-EMF: no torque is left at no-load speed
        room = np.clip(1.0 - np.abs(self.dq) / self._speed, 0.0, 1.0) * self.stall
        limit = np.where(wanted * self.dq > 0, np.minimum(torque, room), torque)
        applied = np.clip(wanted, -limit, limit)
        free = applied + self._fall - self._damping * self.dq
        speed = self.dq + free * (h / self._inertia)
        grip = self._friction * h / self._inertia  # the speed that friction can take away in one step
        self.dq = np.sign(speed) * np.maximum(np.abs(speed) - grip, 0.0)
        q = self.q + self.dq * h
        self.q = np.clip(q, self.lower, self.upper)
        self.dq = np.where(q == self.q, self.dq, 0.0)
        return applied
