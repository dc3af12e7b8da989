"""The simulated arm as the mechanics behind virtual servos: they bring the goals, this brings the world."""

from __future__ import annotations

import numpy as np

from robot.interfaces import Array, PlantState
from robot.reach import clipped
from robot.registry import option
from sim.bullet import pybullet
from sim.scene import HZ
from sim.world import Tabletop

GEARS = 0.06  # N·m
NEAR, STILL = 0.5, 0.05  # rad from home and rad/s: an arm with torque that stands there is ready to work


@option("plant", "bullet")
class BulletPlant:
    """A `Plant` over a `Tabletop`; its clock is advanced by `step` and by nothing else."""

    def __init__(self, world: Tabletop) -> None:
        self.world = world
        self._rest = 0.0

    def reset(self, seed: int) -> str:
        """A new scene; returns its instruction. What happens in it by itself begins when the arm is ready to work: limp
        it sags, and then it goes home."""
        self._rest = 0.0
        instruction = self.world.reset(seed)
        self.world.await_work()
        return instruction

    def step(self, dt: float, goal: Array, torque: Array) -> PlantState:
        """Advance `dt` (s) in whole physics steps, the rest is kept for the next call.

        `goal` (J,) rad; `torque` (J,) N·m is the most each joint may use, 0 is limp.
        """
        servos = self.world.arm.servos
        self._rest += dt * HZ
        limit = np.minimum(torque, servos.limit)
        limp = limit <= 0.0
        slack = True in limp.tolist()
        force = np.where(limp, GEARS, limit) if slack else limit  # without torque the gears still have to be turned
        while self._rest >= 1.0:
            self._rest -= 1.0
            self.world.tick(goal=np.where(limp, servos.read()[0], goal) if slack else goal, limit=force)
        q, dq, applied = servos.read()
        if self.world.waiting and not slack and self._ready(q, dq):
            self.world.begin_work()
        # PyBullet goes on reporting the last torque of a motor that was switched off
        return PlantState(q, dq, clipped(applied, -limit, limit))

    def _ready(self, q: Array, dq: Array) -> bool:
        home = self.world.model.spec.home
        return bool(np.abs(q - home)[:-1].max() < NEAR and np.abs(dq).max() < STILL)

    def table_force(self) -> float:
        """N with which the arm presses on the table at this moment."""
        scene = self.world.scene
        points = pybullet.getContactPoints(scene.body("arm").id, scene.body("table").id, physicsClientId=scene.client)
        return float(sum(p[9] for p in points))
