"""Push the drawer shut; the twin asks to pull it open."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.goals import Goal
from sim.scene import Scene
from sim.tasks import fixtures, props
from sim.tasks.worded import Worded


@option("task", "close_drawer")
class CloseDrawer(Worded):
    """A small cabinet with a drawer that is half open."""

    grammar, seconds = "close_drawer", 15.0

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        at = fixtures.cabinet_place(rng)
        fixtures.cabinet(scene, "cabinet", at, rng.uniform(0.028, 0.042))
        props.distractors(scene, rng, [(*at, 0.14)])
        self._opened = self.turn(2)[0] == 1
        self.ask(scene, "open_drawer" if self._opened else "close_drawer")

    def goals(self, scene: Scene) -> list[Goal]:
        return [fixtures.drawer_goal(scene, "cabinet", opened=self._opened)]
