"""One solver for every task: it reads the goals and the scene, and brings about whatever is still missing."""

from __future__ import annotations

import numpy as np

from datagen import skills
from datagen.hand import Hand, Phase
from robot.errors import ConfigError
from robot.interfaces import Array
from robot.registry import option
from sim import goals as kinds
from sim.conditions import Never, Wait, core
from sim.goals import Goal, JointAt, Lift, Place, Push, Reach
from sim.world import Tabletop

__all__ = ["Expert", "Phase"]

SKILLS = {Reach: skills.reach, Place: skills.place, Lift: skills.lift, Push: skills.push, JointAt: skills.joint,
          Wait: skills.wait, Never: skills.wait}


@option("expert", "goals")
class Expert:
    """Joint targets for the next period from what is there now; it plans anew every period, so it recovers.

    Motions are the same in the same situation: above the object at a fixed height, straight down, close, up,
    across, down, open, up.
    """

    def __init__(self, opening: float = 0.5, clearance: float = 0.007, speed: float = 0.020, trail: int = 0) -> None:
        """`opening` of the gripper's range; `clearance` (m) beside the still jaw; `speed` (m) of the tip a period.

        `trail` periods after a target the arm gets there: 0 where the simulation drives it, 2 behind servos on a bus.
        """
        self.opening, self.clearance, self.speed, self.trail = opening, clearance, speed, trail

    def reset(self, world: Tabletop) -> None:
        """Begin an episode of `world`."""
        self.world = world
        self.hand = Hand(world, self.opening, self.clearance, self.speed, self.trail)
        self._goal: Goal | None = None

    @property
    def phase(self) -> Phase:
        """What the last target was for."""
        return self.hand.phase

    def act(self) -> Array:
        """(J,) rad, the joint target for the end of the coming period. Raises `ConfigError` for an unknown goal."""
        self.hand.look()
        done, goal = self.world.success(), core(kinds.first_open(self.world.goals, self.world.scene))
        if done and self._goal is not None:
            goal = self._goal  # the last one that there was something to do for
        if goal != self._goal:
            self.hand.closing, self._goal = 0, goal
        if done:
            self._finish(goal)
        elif self.hand.rising:
            self.hand.rise()
        else:
            self._skill(goal)(self.hand, goal)
        self.world.phase = float(self.hand.phase)
        return self.hand.target()

    @staticmethod
    def _skill(goal: Goal) -> skills.Skill:
        for kind, skill in SKILLS.items():
            if isinstance(goal, kind):
                return skill
        raise ConfigError(f"the expert has no way to bring about a {type(goal).__name__}; it knows: "
                          f"{', '.join(k.__name__ for k in SKILLS)}")

    def _finish(self, goal: Goal) -> None:
        """Everything is done: rise out of the way, or stay where a goal asks to be.

        What was pressed or turned is held there, what was pushed is stayed with: who learns from it cannot see to the
        millimetre when it is enough, and would let go too early.
        """
        hand = self.hand
        if isinstance(goal, Reach | Lift | JointAt):
            self._skill(goal)(hand, goal)
            return
        if isinstance(goal, Push):
            hand.rest()
            return
        hand.phase, hand.closing = Phase.RETREAT, 0
        x, y, z = hand.tip[:3, 3]
        hand.go(np.array([x, y, max(z, self.world.scene.height + 0.10)]), None, hand.fast,
                hand.wide if hand.released != 1 else hand.ref[-1])
