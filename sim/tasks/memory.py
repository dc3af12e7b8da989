"""What tasks share whose last picture does not tell what to do: something is shown first, while the arm keeps still."""

from __future__ import annotations

from sim.goals import ARM
from sim.scene import Scene
from sim.tasks.worded import Worded

OVER, WRONG = "over", "wrong"  # facts: the show has ended; the attempt is lost
STILL = 0.15  # rad, a joint that moves further while something is shown loses the attempt


class Shown(Worded):
    """Base: `display` shows for `show` seconds what has to be remembered, then `judge` looks for mistakes.

    `chance` is how often a policy without memory can succeed at best. An arm that moves during the show has lost:
    its pose would be a memory outside the policy.
    """

    chance = 0.0
    show = 1.5  # s

    def tick(self, scene: Scene, time: float) -> None:
        """Called 30 times a second."""
        if not scene.facts.get(OVER):
            _keep_still(scene)
            self.display(scene, time)
            if time >= self.show:
                scene.facts[OVER] = 1.0
        elif self.mistaken(scene):
            scene.facts[WRONG] = 1.0

    def display(self, scene: Scene, time: float) -> None:
        """What is to be seen at `time` (s) of the show; at its end nothing may tell the answer any more."""

    def mistaken(self, scene: Scene) -> bool:
        """Something was done now that only somebody does who did not watch."""
        return False


def _keep_still(scene: Scene) -> None:
    for joint in scene.body(ARM).joints:
        angle = scene.joint(ARM, joint)
        if abs(angle - scene.facts.setdefault(f"start {joint}", angle)) > STILL:
            scene.facts[WRONG] = 1.0
