"""Lift the cup that hides the thing asked for, after the cups have changed places."""

from __future__ import annotations

import math

import numpy as np

from robot.interfaces import Array
from robot.registry import option
from sim.conditions import Never, Wait
from sim.goals import Goal, Lift
from sim.scene import Material, Scene, Shape
from sim.tasks import fixtures, language, memory, props

HINT, SWAP = 1.2, 1.0  # s: how long it is shown what is where, and how long one exchange takes
GAP, SIDE, EDGE, RAISED = 0.080, 0.040, 0.018, 0.015  # m: between cups, a cup, what it hides, a wrong cup's rise


@option("task", "shell_game")
class ShellGame(memory.Shown):
    """A row of cups that look the same, each over a block of another colour; a ball of that colour hovers over each
    cup at first, then neighbours change places twice. Lifting another cup than the one asked for loses.

    After the show the cups look alike: without memory one in `cups` attempts succeeds, chance 1/3.
    """

    grammar, seconds = "shell_game", 20.0

    def __init__(self, cups: int = 3, swaps: int = 2) -> None:
        super().__init__()
        self.cups, self.swaps = cups, swaps
        self.chance, self.show = 1.0 / cups, HINT + SWAP * swaps

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        out, angle = rng.uniform(0.165, 0.20), rng.uniform(-0.3, 0.3)
        headings = angle + GAP / out * (np.arange(self.cups) - (self.cups - 1) / 2)
        self._spots = [np.array([props.PIVOT + out * math.cos(a), out * math.sin(a)]) for a in headings]
        colours = language.colours(rng, self.cups)
        for k, (colour, spot) in enumerate(zip(colours, self._spots)):
            props.cube(scene, f"cube {k}", colour, spot, 0.0, edge=EDGE)
            fixtures.cup(scene, f"cup {k}", spot, SIDE)
            look = Material(props.shade(colour, (0.0, 1.0, 1.0)))
            scene.add(f"hint {k}", Shape("sphere", (0.012,), collides=False),
                      (*spot, scene.height + SIDE + 0.025), material=look)
        self._swaps = [int(k) for k in rng.integers(self.cups - 1, size=self.swaps)]
        self._asked = self.turn(self.cups)[0]
        self._level = float(scene.pose("cup 0").position[2])
        self.ask(scene, object=scene.words[f"cube {self._asked}"])

    def display(self, scene: Scene, time: float) -> None:
        if time < HINT:
            return
        for k, spot in enumerate(self._where(time)):
            yaw = props.turned(math.atan2(spot[1], spot[0]))
            scene.place(f"cup {k}", (*spot, self._level), yaw)
            scene.place(f"cube {k}", (*spot, scene.pose(f"cube {k}").position[2]), yaw)
            scene.place(f"hint {k}", fixtures.AWAY)

    def _where(self, time: float) -> list[Array]:
        """(2,) m of every cup, `time` (s) after the start."""
        at = list(range(self.cups))  # which cup is on each spot
        where = list(self._spots)
        for k, left in enumerate(self._swaps):
            share = min(1.0, max(0.0, (time - HINT) / SWAP - k))
            a, b = self._spots[left], self._spots[left + 1]
            half = props.turn_flat((a - b) / 2, math.pi * share**2 * (3 - 2 * share))
            where[at[left]], where[at[left + 1]] = (a + b) / 2 + half, (a + b) / 2 - half
            if share < 1.0:
                break
            at[left], at[left + 1] = at[left + 1], at[left]
        return where

    def mistaken(self, scene: Scene) -> bool:
        return any(scene.pose(f"cup {k}").position[2] > self._level + RAISED
                   for k in range(self.cups) if k != self._asked)

    def goals(self, scene: Scene) -> list[Goal]:
        return [Wait(memory.OVER), Never(memory.WRONG), Lift(f"cup {self._asked}", self._level)]
