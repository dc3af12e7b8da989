"""Turn the knob to the left or to the right."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.goals import Goal, JointAt
from sim.scene import Scene
from sim.tasks import fixtures, props
from sim.tasks.worded import Worded

TURN, TOLERANCE = 1.0, 0.2  # rad


@option("task", "turn_knob")
class TurnKnob(Worded):
    """A dial whose pointer looks away from the arm at first; to the left is anticlockwise from above."""

    grammar, seconds = "turn_knob", 15.0

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        (at,) = props.arrange(rng, [0.045], far=0.22)
        heading = float(np.arctan2(at[1], at[0] - props.PIVOT))
        fixtures.knob(scene, "dial", at, heading, rng.uniform(-0.25, 0.25))
        props.distractors(scene, rng, [(*at, 0.05)])
        self._side = int(rng.integers(2) + self.twin) % 2
        self.ask(scene, object=("left", "right")[self._side])

    def goals(self, scene: Scene) -> list[Goal]:
        aim = (TURN, -TURN)[self._side]
        return [JointAt("dial", "knob", aim - TOLERANCE, aim + TOLERANCE, aim, scene.joint("dial", "knob"),
                        (0.0, 0.0, 0.016), (0.0, 1.0, 0.0), 0.013)]
