"""Pick up the block of one colour."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.goals import Goal, Lift
from sim.scene import Scene
from sim.tasks import props, things
from sim.tasks.worded import Worded


@option("task", "pick_lift")
class PickLift(Worded):
    """Blocks of different colours; the named one is to be lifted by 5 cm."""

    grammar, seconds = "pick_lift", 15.0

    def __init__(self, cubes: int = 3) -> None:
        super().__init__()
        self.cubes = cubes

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        blocks = props.scatter(scene, rng, self.cubes, make=things.thing)
        self._block = blocks[self.turn(self.cubes)[0]]
        self.ask(scene, object=self._block.words)

    def goals(self, scene: Scene) -> list[Goal]:
        return [Lift(self._block.name, float(scene.pose(self._block.name).position[2]))]
