"""A simulated world seen as a place: scenes come and go there, the arm and its time stay."""

from __future__ import annotations

from dataclasses import replace

from robot.interfaces import ArmSpec, ArmState, Array, Camera, Frame, World


class Ongoing:
    """A world as a real table would be: one arm and one time that goes on, whatever scene is put on it.

    It is an `Arm` and a `Clock`. A world's own time begins again with every scene, and its arm is another one.
    """

    def __init__(self, world: World) -> None:
        self.world, self._before = world, 0.0  # s, all scenes until this one
        self.cameras: dict[str, Camera] = {name: _Shifted(self, name) for name in world.cameras}

    def put(self, seed: int) -> str:
        """The scene of `seed`, with a limp arm; returns the instruction."""
        self._before = self.now()
        instruction = self.world.reset(seed)
        self.world.arm.open()
        return instruction

    def shifted(self, stamp: float) -> float:
        """A moment of the present scene (s) in the time that goes on."""
        return self._before + stamp

    def now(self) -> float:
        return self.shifted(self.world.clock.now())

    def wait(self, until: float) -> None:
        self.world.clock.wait(until - self._before)

    @property
    def spec(self) -> ArmSpec:
        return self.world.arm.spec

    def open(self) -> None:
        self.world.arm.open()

    def engage(self) -> None:
        self.world.arm.engage()

    def read(self) -> ArmState:
        state = self.world.arm.read()
        return replace(state, stamp=self.shifted(state.stamp))

    def command(self, q: Array) -> Array:
        return self.world.arm.command(q)

    def relax(self) -> None:
        self.world.arm.relax()

    def close(self) -> None:
        self.world.arm.close()


class _Shifted:
    """One camera of the world, whose pictures carry the time that goes on."""

    def __init__(self, place: Ongoing, name: str) -> None:
        self._place, self._name = place, name

    def read(self, max_age: float) -> Frame:
        frame = self._place.world.cameras[self._name].read(max_age)
        return replace(frame, stamp=self._place.shifted(frame.stamp))
