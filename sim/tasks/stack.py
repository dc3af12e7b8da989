"""Put one block on top of another."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.goals import Goal
from sim.scene import Scene
from sim.tasks import props
from sim.tasks.worded import Worded


@option("task", "stack")
class Stack(Worded):
    """Blocks of different colours; one goes onto another."""

    grammar = "stack"

    def __init__(self, cubes: int = 3) -> None:
        super().__init__()
        self.cubes = max(2, cubes)

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        blocks = props.scatter(scene, rng, self.cubes, edge=0.03, far=0.225)
        first, second = self.turn(self.cubes)[:2]
        self._upper, self._lower = blocks[first], blocks[second]
        self.ask(scene, object=self._upper.words, receiver=self._lower.words)

    def goals(self, scene: Scene) -> list[Goal]:
        return [props.into(scene, self._upper, self._lower.name, self._lower.edge / 2, 0.013, height=0.006)]
