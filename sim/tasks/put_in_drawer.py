"""Open the drawer, put a block into it, close it."""

from __future__ import annotations

import math

import numpy as np

from robot.registry import option
from sim.conditions import Once, Unless
from sim.goals import Goal, Place
from sim.scene import Scene
from sim.tasks import fixtures, language, props
from sim.tasks.worded import Worded

EDGE, INSIDE, WIDE = 0.023, -0.012, 0.058  # m: the block; where in the drawer it goes; room for the hand as well


@option("task", "put_in_drawer")
class PutInDrawer(Worded):
    """A cabinet with a closed drawer to one side, blocks to the other."""

    grammar, seconds = "put_in_drawer", 45.0

    def __init__(self, cubes: int = 2) -> None:
        super().__init__()
        self.cubes = cubes

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        at = fixtures.cabinet_place(rng)
        fixtures.cabinet(scene, "cabinet", at)
        angle = math.atan2(at[1], at[0] - props.PIVOT)
        ahead = np.array([math.cos(angle), math.sin(angle)])
        taken = [(*(at - step * ahead), 0.055) for step in (0.0, 0.06, 0.12)]
        places = props.arrange(rng, [0.018] * self.cubes, taken=taken, side=1.15)
        colours = language.colours(rng, self.cubes)
        blocks = [props.cube(scene, f"cube {k}", colour, place, rng.uniform(-np.pi, np.pi), edge=EDGE)
                  for k, (colour, place) in enumerate(zip(colours, places))]
        self._block = blocks[self.turn(self.cubes)[0]]
        self.ask(scene, object=self._block.words)

    def goals(self, scene: Scene) -> list[Goal]:
        into: Place = props.into(scene, self._block, "cabinet/drawer", 0.0015, 0.02)
        into = Place(into.item, into.on, (INSIDE, 0.0, into.offset[2]), 0.02, 0.012, start=into.start)
        stored = Once("stored", into)
        return [Unless(fixtures.drawer_goal(scene, "cabinet", opened=True, least=WIDE), stored), stored,
                fixtures.drawer_goal(scene, "cabinet", opened=False)]
