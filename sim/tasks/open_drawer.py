"""Pull the drawer open; the twin asks to push it shut."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.goals import Goal
from sim.scene import Scene
from sim.tasks import fixtures, props
from sim.tasks.worded import Worded


@option("task", "open_drawer")
class OpenDrawer(Worded):
    """A small cabinet with a drawer that is ajar."""

    grammar, seconds = "open_drawer", 15.0

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        at = fixtures.cabinet_place(rng)
        fixtures.cabinet(scene, "cabinet", at, rng.uniform(0.010, 0.020))
        props.distractors(scene, rng, [(*at, 0.11)])
        self._opened = self.turn(2)[0] == 0
        self.ask(scene, "open_drawer" if self._opened else "close_drawer")

    def goals(self, scene: Scene) -> list[Goal]:
        return [fixtures.drawer_goal(scene, "cabinet", opened=self._opened)]
