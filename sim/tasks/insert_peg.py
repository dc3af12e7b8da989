"""Put a standing peg into the hole of a block."""

from __future__ import annotations

import math

import numpy as np

from robot.registry import option
from sim.goals import Goal, Place
from sim.scene import Material, Scene, Shape
from sim.tasks import fixtures, language, props
from sim.tasks.worded import Worded

RADIUS, LENGTH, HOLE = 0.009, 0.046, 0.024  # m


@option("task", "insert_peg")
class InsertPeg(Worded):
    """Pegs of different colours and a block with a hole 6 mm wider than a peg."""

    grammar, seconds = "insert_peg", 25.0

    def __init__(self, pegs: int = 2) -> None:
        super().__init__()
        self.pegs = pegs

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        block, *colours = language.colours(rng, self.pegs + 1)
        at, *places = props.arrange(rng, [0.045] + [0.02] * self.pegs, far=0.22)
        fixtures.socket(scene, "socket", block, at, HOLE)
        draw = props.vary(scene)
        for k, (colour, place) in enumerate(zip(colours, places)):
            look = Material(props.shade(colour, draw("object_colour")), draw("object_texture"))
            mass = props.DENSITY * math.pi * RADIUS**2 * LENGTH * draw("object_mass")
            scene.add(f"peg {k}", Shape("cylinder", (RADIUS, LENGTH)), (*place, scene.height + LENGTH / 2 + 0.0005),
                      props.turned(0.0), mass, draw("object_friction"), look)
            scene.words[f"peg {k}"] = f"{colour} peg"
        self._peg = self.turn(self.pegs)[0]
        self.ask(scene, object=scene.words[f"peg {self._peg}"], receiver=scene.words["socket"])

    def goals(self, scene: Scene) -> list[Goal]:
        name = f"peg {self._peg}"
        gap = scene.pose(name).position - scene.pose("socket").position
        return [Place(name, "socket", (0.0, 0.0, LENGTH / 2), 0.0055, 0.006, upright=True,
                      start=float(np.linalg.norm(gap)))]
