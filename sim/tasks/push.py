"""Slide a puck over the table onto a pad."""

from __future__ import annotations

import math

import numpy as np

from robot.errors import SceneError
from robot.interfaces import Array
from robot.registry import option
from sim.goals import Goal, Push
from sim.scene import Material, Scene, Shape
from sim.tasks import fixtures, language, props
from sim.tasks.worded import Worded

RADIUS, HEIGHT = 0.019, 0.022  # m


@option("task", "push")
class PushTask(Worded):
    """One puck and pads of different colours, placed so that the arm can get behind the puck."""

    grammar = "push"

    def __init__(self, pads: int = 2) -> None:
        super().__init__()
        self.pads = pads

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        colour, *marks = language.colours(rng, self.pads + 1)
        puck, *places = self._places(rng)
        for k, (mark, place) in enumerate(zip(marks, places)):
            fixtures.pad(scene, f"pad {k}", mark, place)
        draw = props.vary(scene)
        look = Material(props.shade(colour, draw("object_colour")), draw("object_texture"))
        mass = props.DENSITY * math.pi * RADIUS**2 * HEIGHT * draw("object_mass")
        scene.add("puck", Shape("cylinder", (RADIUS * draw("object_size"), HEIGHT)),
                  (*puck, scene.height + HEIGHT / 2 + 0.0005), props.turned(rng.uniform(-3, 3)), mass,
                  0.5 * draw("object_friction"), look)
        scene.words["puck"] = f"{colour} puck"
        self._pad = self.turn(self.pads)[0]
        self.ask(scene, object=scene.words["puck"], receiver=scene.words[f"pad {self._pad}"])

    def goals(self, scene: Scene) -> list[Goal]:
        gap = scene.pose("puck").position[:2] - scene.pose(f"pad {self._pad}").position[:2]
        return [Push("puck", f"pad {self._pad}", start=float(np.hypot(*gap)))]

    def _places(self, rng: np.random.Generator, tries: int = 200) -> list[Array]:
        for _ in range(tries):
            puck, *pads = props.arrange(rng, [0.02] + [0.035] * self.pads, far=0.22)
            if all(0.08 < np.hypot(*(p - puck)) < 0.2 and _reachable(puck + 0.05 * _ahead(puck, p)) for p in pads):
                return [puck, *pads]
        raise SceneError(f"no place for a puck that {self.pads} pads can be reached from after {tries} tries; "
                         "ask for fewer pads")


def _ahead(puck: Array, pad: Array) -> Array:
    """Unit vector from the pad to the puck: where the hand has to stand."""
    gap = puck - pad
    return gap / np.hypot(*gap)


def _reachable(point: Array) -> bool:
    out = math.hypot(point[0] - props.PIVOT, point[1])
    return 0.10 < out < 0.255 and abs(math.atan2(point[1], point[0] - props.PIVOT)) < 1.1
