"""Lift the block that a light pointed out before it went away."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.conditions import Never, Wait
from sim.goals import Goal, Lift
from sim.scene import Scene
from sim.tasks import fixtures, language, memory, props

HOVER, RAISED = 0.03, 0.015  # m: the light over its block; how high a wrong block may come


@option("task", "cue_then_act")
class CueThenAct(memory.Shown):
    """Blocks of one colour; a light hovers over one of them for 1.5 s. Lifting another one loses.

    After the show every answer looks the same and is asked for in the same words, so that without memory one in
    `blocks` attempts succeeds: chance 1/3.
    """

    grammar, seconds = "cue_then_act", 16.0

    def __init__(self, blocks: int = 3) -> None:
        super().__init__()
        self.blocks, self.chance = blocks, 1.0 / blocks

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        (colour,) = language.colours(rng, 1)
        places = props.arrange(rng, [0.026] * self.blocks)
        self._blocks = [props.cube(scene, f"cube {k}", colour, place, rng.uniform(-np.pi, np.pi))
                        for k, place in enumerate(places)]
        scene.words.clear()  # one name for all of them names none
        props.distractors(scene, rng, [(*place, 0.026) for place in places])
        fixtures.marker(scene)
        self._asked = (int(rng.integers(self.blocks)) + self.twin) % self.blocks
        self._starts = [float(scene.pose(b.name).position[2]) for b in self._blocks]
        self.display(scene, 0.0)
        self.ask(scene)

    def display(self, scene: Scene, time: float) -> None:
        block = self._blocks[self._asked]
        over = scene.pose(block.name).position + (0.0, 0.0, block.edge / 2 + HOVER)
        scene.place("marker", over if time < self.show else fixtures.AWAY)

    def mistaken(self, scene: Scene) -> bool:
        return any(scene.pose(b.name).position[2] > self._starts[k] + RAISED
                   for k, b in enumerate(self._blocks) if k != self._asked)

    def goals(self, scene: Scene) -> list[Goal]:
        name = self._blocks[self._asked].name
        return [Wait(memory.OVER), Never(memory.WRONG), Lift(name, float(scene.pose(name).position[2]))]
