"""Press the button of one colour, and no other."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.conditions import Never
from sim.goals import Goal, JointAt
from sim.scene import Scene
from sim.tasks import fixtures, language, props
from sim.tasks.worded import Worded

DOWN = -0.7 * fixtures.PRESS  # m, where a button counts as pressed


def button_goal(name: str) -> JointAt:
    """The goal that a button is down."""
    return JointAt(name, "button", -0.02, DOWN, -fixtures.PRESS, 0.0, (0.0, 0.0, 0.012), None)


@option("task", "press_button")
class PressButton(Worded):
    """Buttons of different colours that stay down."""

    grammar, seconds = "press_button", 15.0

    def __init__(self, buttons: int = 3) -> None:
        super().__init__()
        self.buttons = buttons

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        colours = language.colours(rng, self.buttons)
        places = props.arrange(rng, [0.035] * self.buttons)
        for k, (colour, place) in enumerate(zip(colours, places)):
            fixtures.button(scene, f"button {k}", colour, place)
        props.distractors(scene, rng, [(*place, 0.035) for place in places])
        self._button = self.turn(self.buttons)[0]
        self.ask(scene, object=scene.words[f"button {self._button}"])

    def tick(self, scene: Scene, time: float) -> None:
        """A wrong button, once down, loses the attempt."""
        if any(scene.joint(f"button {k}", "button") < DOWN for k in range(self.buttons) if k != self._button):
            scene.facts["wrong"] = 1.0

    def goals(self, scene: Scene) -> list[Goal]:
        return [button_goal(f"button {self._button}"), Never("wrong")]
