"""Bring the fingertips to a coloured ball in the air."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.conditions import tip_distance
from sim.goals import Goal, Reach
from sim.scene import Material, Scene, Shape
from sim.tasks import language, props
from sim.tasks.worded import Worded


@option("task", "reach")
class ReachTask(Worded):
    """Balls of different colours float over the table; one of them is asked for."""

    grammar, seconds = "reach", 8.0

    def __init__(self, balls: int = 2) -> None:
        super().__init__()
        self.balls = balls

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        colours = language.colours(rng, self.balls)
        places = props.arrange(rng, [0.02] * self.balls, far=0.22)
        for k, (colour, (x, y)) in enumerate(zip(colours, places)):
            z = scene.height + rng.uniform(0.04, 0.09)
            look = Material(props.shade(colour, props.vary(scene)("object_colour")))
            scene.add(f"ball {k}", Shape("sphere", (0.014,), collides=False), (x, y, z), material=look)
            scene.words[f"ball {k}"] = f"{colour} ball"
        self._ball = self.turn(self.balls)[0]
        self.ask(scene, object=f"{colours[self._ball]} ball")

    def goals(self, scene: Scene) -> list[Goal]:
        name = f"ball {self._ball}"
        start = tip_distance(scene, scene.pose(name).position)
        return [Reach((0.0, 0.0, 0.0), above=name, start=max(start, 0.05))]
