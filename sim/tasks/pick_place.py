"""Put the block of one colour into the tray of one colour."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.goals import Goal
from sim.scene import Scene
from sim.tasks import language, props
from sim.tasks.worded import Worded


@option("task", "pick_place")
class PickPlace(Worded):
    """Blocks and shallow trays of different colours; the instruction names one of each."""

    grammar = "pick_place"

    def __init__(self, cubes: int = 3, trays: int = 1) -> None:
        super().__init__()
        self.cubes, self.trays = cubes, trays

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        cube_colours, tray_colours = language.colours(rng, self.cubes), language.colours(rng, self.trays)
        radii = [0.062] * self.trays + [0.02] * self.cubes
        places = props.arrange(rng, radii)
        insides = [props.tray(scene, f"tray {k}", colour, places[k], rng.uniform(-0.4, 0.4))
                   for k, colour in enumerate(tray_colours)]
        blocks = [props.cube(scene, f"cube {k}", colour, places[self.trays + k], rng.uniform(-np.pi, np.pi))
                  for k, colour in enumerate(cube_colours)]
        props.distractors(scene, rng, [(*place, r) for place, r in zip(places, radii)])
        self._block, self._tray = blocks[self.turn(self.cubes)[0]], self.turn(self.trays)[0]
        self._inside = insides[self._tray]
        self.ask(scene, object=self._block.words, receiver=scene.words[f"tray {self._tray}"])

    def goals(self, scene: Scene) -> list[Goal]:
        edge = self._block.edge
        return [props.into(scene, self._block, f"tray {self._tray}", props.FLOOR, self._inside - edge / 2)]
