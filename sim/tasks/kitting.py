"""Fill a kit: every slot takes the block of its own colour out of the clutter. The job-length task.

Twin k asks for the k-th slot alone.
"""

from __future__ import annotations

import math

import numpy as np

from robot.registry import option
from sim.goals import Goal
from sim.scene import Material, Scene, Shape
from sim.tasks import fixtures, language, props
from sim.tasks.worded import Worded

PITCH, PLATE = 0.056, 0.004  # m between slots, of thickness


@option("task", "kitting")
class Kitting(Worded):
    """A plate with slots in two rows, a block for each and blocks that belong nowhere."""

    grammar, seconds = "kitting", 75.0

    def __init__(self, slots: int = 4, clutter: int = 1) -> None:
        super().__init__()
        self.slots, self.clutter = slots, clutter

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        colours = language.colours(rng, self.slots + self.clutter)
        columns = math.ceil(self.slots / 2)
        out, angle = 0.195, rng.uniform(-0.9, 0.9)
        size = (2 * PITCH, columns * PITCH, PLATE)
        middle = np.array([props.PIVOT + out * math.cos(angle), out * math.sin(angle)])
        places = props.arrange(rng, [0.02] * len(colours), taken=[(*middle, 0.5 * math.hypot(*size[:2]) + 0.004)],
                               side=1.25, near=0.11, margin=0.014)
        scene.add("kit", Shape("box", size), (*middle, scene.height + PLATE / 2), props.turned(angle),
                  material=Material((0.30, 0.31, 0.33, 1.0)))
        self._offsets = [(PITCH * (k % 2 - 0.5), PITCH * (k // 2 - (columns - 1) / 2)) for k in range(self.slots)]
        for k, offset in enumerate(self._offsets):
            at = middle + props.turn_flat(offset, angle)
            fixtures.pad(scene, f"slot {k}", colours[k], (*at, 0.0), 0.036, angle, "slot")
            scene.place(f"slot {k}", (*at, scene.height + PLATE + 0.0006), props.turned(angle))
        self._blocks = [props.cube(scene, f"cube {k}", colour, place, rng.uniform(-np.pi, np.pi), edge=0.026)
                        for k, (colour, place) in enumerate(zip(colours, places))]
        self._wanted = [k for k in range(self.slots) if self.twin % (self.slots + 1) in (0, k + 1)]
        if len(self._wanted) == self.slots:
            self.ask(scene)
        else:
            self.ask(scene, "kitting_one", object=colours[self._wanted[0]])

    def goals(self, scene: Scene) -> list[Goal]:
        return [props.into(scene, self._blocks[k], f"slot {k}", 0.0, 0.014) for k in self._wanted]
