"""Put the blocks on the marks of a line, in the order of colours that is asked for."""

from __future__ import annotations

import math

import numpy as np

from robot.registry import option
from sim.goals import Goal
from sim.scene import Scene
from sim.tasks import fixtures, language, props
from sim.tasks.worded import Worded

GAP = 0.062  # m between marks


@option("task", "line_up")
class LineUp(Worded):
    """A row of grey marks and a block of each colour; the order is named from left to right, as the arm sees it."""

    grammar, seconds = "line_up", 50.0

    def __init__(self, cubes: int = 3) -> None:
        super().__init__()
        self.cubes = cubes

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        out, angle = rng.uniform(0.19, 0.21), rng.uniform(-0.25, 0.25)
        middle = np.array([props.PIVOT + out * math.cos(angle), out * math.sin(angle)])
        left = np.array([-math.sin(angle), math.cos(angle)])
        marks = [middle + left * GAP * ((self.cubes - 1) / 2 - k) for k in range(self.cubes)]
        colours = language.colours(rng, self.cubes)
        places = props.arrange(rng, [0.02] * self.cubes, taken=[(*m, 0.034) for m in marks], side=1.15, near=0.11)
        for k, mark in enumerate(marks):
            fixtures.pad(scene, f"mark {k}", "grey", mark, 0.036, angle)
        blocks = [props.cube(scene, f"cube {k}", colour, place, rng.uniform(-np.pi, np.pi), edge=0.026)
                  for k, (colour, place) in enumerate(zip(colours, places))]
        self._order = [blocks[k] for k in self.turn(self.cubes)]
        self.ask(scene, order=", ".join(b.words.split()[0] for b in self._order))

    def goals(self, scene: Scene) -> list[Goal]:
        return [props.into(scene, block, f"mark {k}", 0.0, 0.014) for k, block in enumerate(self._order)]
