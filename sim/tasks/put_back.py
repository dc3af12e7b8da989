"""Take a block to a pad, and then back to the mark on which it stood."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.conditions import Once
from sim.goals import Goal
from sim.scene import Scene
from sim.tasks import fixtures, language, props
from sim.tasks.worded import Worded


@option("task", "put_back")
class PutBack(Worded):
    """Grey marks that look the same, a block on one of them, and pads; the instruction names the pad to visit.

    Once the block is on the pad nothing shows which mark it came from: without memory one in `marks` attempts
    succeeds, chance 1/4.
    """

    grammar, seconds = "put_back", 30.0

    def __init__(self, marks: int = 4, pads: int = 2) -> None:
        super().__init__()
        self.marks, self.pads, self.chance = marks, pads, 1.0 / marks

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        colour, *names = language.colours(rng, self.pads + 1)
        places = props.arrange(rng, [0.034] * self.pads + [0.022] * self.marks, side=1.15, near=0.11)
        halves = [fixtures.pad(scene, f"pad {k}", name, place, 0.06)
                  for k, (name, place) in enumerate(zip(names, places))]
        for k, mark in enumerate(places[self.pads:]):
            fixtures.pad(scene, f"mark {k}", "grey", mark, 0.036, rng.uniform(-0.3, 0.3))
        self._home = int(rng.integers(self.marks))
        self._block = props.cube(scene, "cube 0", colour, places[self.pads + self._home],
                                 rng.uniform(-np.pi, np.pi), edge=0.026)
        self._pad = self.turn(self.pads)[0]
        self._half = halves[self._pad]
        self.ask(scene, object=self._block.words, receiver=scene.words[f"pad {self._pad}"])

    def goals(self, scene: Scene) -> list[Goal]:
        visit = props.into(scene, self._block, f"pad {self._pad}", 0.0, self._half - 0.006)
        return [Once("visited", visit), props.into(scene, self._block, f"mark {self._home}", 0.0, 0.014)]
