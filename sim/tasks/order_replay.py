"""Touch pads in the order in which a light visited them."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np

from robot.registry import option
from sim.conditions import Never, Once, Wait
from sim.goals import Goal, Reach
from sim.scene import Scene
from sim.tasks import fixtures, language, memory, props

BEAT, LIT = 0.6, 0.45  # s: from one pad to the next, and how long the light stays at each
TOUCH, NEAR = 0.020, 0.020  # m: height of the fingertips that counts as touching, and its tolerance
STEP = "step"  # fact: how many pads were touched in the right order


@option("task", "order_replay")
class OrderReplay(memory.Shown):
    """Pads of different colours; a light visits some of them, each once. Touching another than the next one loses.

    There are pads! / (pads - length)! orders, all asked for in the same words, and after the show all look the same:
    a policy without memory succeeds in one of 24 attempts at best, chance 1/24.
    """

    grammar, seconds = "order_replay", 25.0

    def __init__(self, pads: int = 4, length: int = 3) -> None:
        super().__init__()
        self.pads, self.length = pads, length
        self.chance, self.show = 1.0 / math.perm(pads, length), 0.3 + BEAT * length

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        colours = language.colours(rng, self.pads)
        places = props.arrange(rng, [0.032] * self.pads, far=0.225)
        for k, (colour, place) in enumerate(zip(colours, places)):
            fixtures.pad(scene, f"pad {k}", colour, place, 0.05)
        fixtures.marker(scene)
        orders = list(permutations(range(self.pads), self.length))
        self._order = orders[(int(rng.integers(len(orders))) + self.twin) % len(orders)]
        self.ask(scene)

    def display(self, scene: Scene, time: float) -> None:
        beat, within = divmod(time - 0.3, BEAT)
        lit = 0 <= beat < self.length and within < LIT and time < self.show
        spot = scene.pose(f"pad {self._order[int(beat)]}").position + (0.0, 0.0, 0.03) if lit else fixtures.AWAY
        scene.place("marker", spot)

    def mistaken(self, scene: Scene) -> bool:
        step = int(scene.facts.get(STEP, 0.0))
        for pad in range(self.pads):
            if not _touch(pad).success(scene):
                continue
            if step < self.length and pad == self._order[step]:
                scene.facts[STEP] = step + 1.0
            elif step == 0 or pad != self._order[step - 1]:
                return True
        return False

    def goals(self, scene: Scene) -> list[Goal]:
        return [Wait(memory.OVER), Never(memory.WRONG),
                *(Once(f"touched {k}", _touch(pad)) for k, pad in enumerate(self._order))]


def _touch(pad: int) -> Reach:
    return Reach((0.0, 0.0, TOUCH), f"pad {pad}", NEAR)
