"""Put every block into the tray of its own colour; a twin asks for another colour's tray."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.goals import Goal
from sim.scene import Scene
from sim.tasks import language, props
from sim.tasks.worded import Worded


@option("task", "sort")
class Sort(Worded):
    """As many trays as colours, and a block of each colour."""

    grammar, seconds = "sort", 40.0

    def __init__(self, colours: int = 2) -> None:
        super().__init__()
        self.colours = colours

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        colours = language.colours(rng, self.colours)
        places = props.arrange(rng, [0.062] * self.colours + [0.02] * self.colours)
        self._insides = [props.tray(scene, f"tray {k}", colour, places[k], rng.uniform(-0.4, 0.4))
                         for k, colour in enumerate(colours)]
        self._blocks = [props.cube(scene, f"cube {k}", colour, places[self.colours + k], rng.uniform(-np.pi, np.pi))
                        for k, colour in enumerate(colours)]
        self._trays = self.turn(self.colours)
        self.ask(scene, "sort" if self._trays[0] == 0 else "sort_apart")

    def goals(self, scene: Scene) -> list[Goal]:
        return [props.into(scene, block, f"tray {k}", props.FLOOR, self._insides[k] - block.edge / 2)
                for block, k in zip(self._blocks, self._trays)]
