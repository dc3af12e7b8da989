"""Take the upper of two stacked blocks down and put it onto a pad."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.goals import Goal
from sim.scene import Scene
from sim.tasks import fixtures, language, props
from sim.tasks.worded import Worded


@option("task", "unstack")
class Unstack(Worded):
    """A tower of two blocks and pads of different colours; the upper block goes onto the named pad."""

    grammar = "unstack"

    def __init__(self, pads: int = 2) -> None:
        super().__init__()
        self.pads = pads

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        colours, marks = language.colours(rng, 2), language.colours(rng, self.pads)
        tower, *places = props.arrange(rng, [0.026] + [0.045] * self.pads, far=0.22)
        yaw = rng.uniform(-np.pi, np.pi)
        lower = props.cube(scene, "cube 1", colours[1], tower, yaw, edge=0.03)
        at = (*tower, scene.height + lower.edge)
        self._block = props.cube(scene, "cube 0", colours[0], at, yaw + rng.uniform(-0.2, 0.2), edge=0.028)
        halves = [fixtures.pad(scene, f"pad {k}", c, place) for k, (c, place) in enumerate(zip(marks, places))]
        self._pad = self.turn(self.pads)[0]
        self._half = halves[self._pad]
        self.ask(scene, object=self._block.words, receiver=scene.words[f"pad {self._pad}"])

    def goals(self, scene: Scene) -> list[Goal]:
        return [props.into(scene, self._block, f"pad {self._pad}", 0.0, self._half - 0.008)]
