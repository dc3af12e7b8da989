"""Put a number of blocks into a bin that swallows them, then press the button."""

from __future__ import annotations

import numpy as np

from robot.registry import option
from sim.conditions import Never, Tally
from sim.goals import Goal
from sim.scene import Scene
from sim.tasks import fixtures, language, memory, props
from sim.tasks.press_button import DOWN, button_goal
from sim.tasks.worded import Worded

NUMBERS = {2: "two", 3: "three", 4: "four"}
COUNT = "count"  # fact: blocks put in so far
WIDTH = 0.072  # m, of the bin


def guess(number: int) -> float:
    """The best that a policy without memory can do: press with probability 1/n after each of n blocks."""
    return (1 - 1 / number) ** (number - 1) / number


@option("task", "count")
class Count(Worded):
    """One block that comes back to its mark whenever it was put into the bin, and a button. Pressing before the
    number that was asked for, or putting in one more, loses.

    Each time the scene looks the same: without memory one can only press at random, chance 0.168 over two, three
    and four blocks.
    """

    grammar, seconds = "count", 55.0
    chance = round(sum(map(guess, NUMBERS)) / len(NUMBERS), 3)

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        colour, signal = language.colours(rng, 2)
        bin_at, button_at, self._supply = props.arrange(rng, [0.052, 0.036, 0.024])
        fixtures.bin_box(scene, "bin", bin_at, WIDTH)
        fixtures.button(scene, "button", signal, button_at)
        fixtures.pad(scene, "mark", "grey", self._supply, 0.036)
        self._block = props.cube(scene, "cube 0", colour, self._supply, rng.uniform(-np.pi, np.pi), edge=0.026)
        pose = scene.pose(self._block.name)
        self._start = pose.position, pose.quaternion
        numbers = sorted(NUMBERS)
        self._number = numbers[(int(rng.integers(len(numbers))) + self.twin) % len(numbers)]
        self.ask(scene, number=NUMBERS[self._number])

    def tick(self, scene: Scene, time: float) -> None:
        """Count what lies in the bin and bring it back; look out for what loses."""
        if self._inside.success(scene):
            scene.facts[COUNT] = scene.facts.get(COUNT, 0.0) + 1.0
            scene.place(self._block.name, *self._start)
        number = scene.facts.get(COUNT, 0.0)
        if number > self._number or (number < self._number and scene.joint("button", "button") < DOWN):
            scene.facts[memory.WRONG] = 1.0

    def goals(self, scene: Scene) -> list[Goal]:
        self._inside = props.into(scene, self._block, "bin", props.FLOOR, WIDTH / 2 - 0.016)
        return [Never(memory.WRONG), Tally(COUNT, self._number, self._inside), button_goal("button")]
