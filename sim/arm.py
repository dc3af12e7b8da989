"""A simulated arm that behaves like its servos, with a delay between a command and its effect."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from robot.arms import ArmModel
from robot.errors import ArmError
from robot.interfaces import ArmSpec, ArmState, Array, Health
from robot.registry import option
from sim.scene import HZ, Scene
from sim.servos import Servos, Wear


@dataclass
class _Memory:
    goal: Array
    on: bool
    queue: tuple[Array, ...]
    side: list[float]
    last: list[float]


class SimArm:
    """An `Arm` over a scene. Whoever steps the physics calls `tick` before every step."""

    def __init__(self, scene: Scene, model: ArmModel, now: Callable[[], float], wear: Wear = Wear(),
                 delay: float = 0.0) -> None:
        """`delay` (s) between a command and its effect."""
        self.model, self._now = model, now
        self.servos = Servos(scene, model, wear)
        self._spec = model.spec
        self._count = self.servos.count
        joints = len(self._spec.home)
        self._warm, self._fed, self._fresh = np.full(joints, 30.0), np.full(joints, 7.4), np.zeros(joints)
        self._least, self._most = np.ceil(self._spec.lower / self._count), np.floor(self._spec.upper / self._count)
        self._goal = self._spec.home.copy()
        self._on = False
        self._queue: deque[Array] = deque(maxlen=max(1, round(delay * HZ) + 1))

    @property
    def spec(self) -> ArmSpec:
        return self._spec

    def open(self) -> None:
        """Limp and readable."""
        self._on = False

    def engage(self) -> None:
        """Hold the present position."""
        self._goal = self.servos.read()[0]
        self._queue.clear()
        self._on = True

    def read(self) -> ArmState:
        """The present state with the encoder's resolution."""
        q, dq, torque = self.servos.read()
        effort = torque / self.servos.stall
        return ArmState(
            stamp=self._now(), q=np.rint(q / self._count) * self._count, dq=dq, effort=effort,
            current=np.abs(effort) * 2.0, temperature=self._warm.copy(), voltage=self._fed.copy(),
            health=np.full(len(q), int(Health.OK if self._on else Health.LIMP), dtype=np.int64), age=self._fresh.copy())

    def command(self, q: Array) -> Array:
        """Set the goal (J,) rad, clamped to the joints' range and rounded to counts; returns what was set.

        Raises `ArmError` for a value that is not a finite number, naming the joint.
        """
        q = np.asarray(q, dtype=np.float64)
        if q.shape != self._goal.shape:
            raise ArmError(f"{self.model.name} has {self._goal.size} joints; got a command of shape {q.shape}")
        if not np.isfinite(q).all():
            bad = int(np.flatnonzero(~np.isfinite(q))[0])
            raise ArmError(f"joint {self.model.names[bad]!r} was commanded to {q[bad]}; send finite angles")
        self._goal = self.rounded(q)
        return self._goal.copy()

    def rounded(self, q: Array) -> Array:
        """(..., J) rad, the goals that commands of `q` would set."""
        return np.minimum(np.maximum(np.rint(q / self._count), self._least), self._most) * self._count

    def aim(self, goal: Array) -> None:
        """Set the goal to a row of `rounded`, unchecked: for a world that sets one every physics step."""
        self._goal = goal

    def relax(self) -> None:
        self._on = False

    def close(self) -> None:
        self.relax()

    def place(self, q: Array) -> None:
        """Teleport to `q` (J,) rad and hold there."""
        self.servos.place(q)
        self._goal = np.asarray(q, dtype=np.float64).copy()
        self._queue.clear()

    def tick(self) -> None:
        """Drive the motors for the physics step that follows."""
        self._queue.append(self._goal)
        limit = self.servos.limit if self._on else np.zeros_like(self._goal)
        self.servos.drive(self._queue[0], limit)

    def save(self) -> _Memory:
        """What physics does not know of this arm, for `World.snapshot`."""
        return _Memory(self._goal.copy(), self._on, tuple(self._queue), self.servos.side.copy(),
                       self.servos.last.copy())

    def load(self, memory: _Memory) -> None:
        self._goal, self._on = memory.goal.copy(), memory.on
        self._queue.clear()
        self._queue.extend(memory.queue)
        self.servos.recall(memory.side.copy(), memory.last.copy())


@option("arm", "sim")
def sim(world: object) -> SimArm:
    """The arm of the world that is being run: `arm=sim`."""
    return world.arm  # type: ignore[attr-defined]
