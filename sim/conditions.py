"""Goals about goals: in order, once and for all, never, not before. What happened is kept in `Scene.facts`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot.interfaces import Array
from sim.goals import ARM, TIP, Goal
from sim.scene import Scene


@dataclass(frozen=True)
class Once:
    """`goal`, for which it is enough to have been reached at some time."""

    fact: str
    goal: Goal

    def watch(self, scene: Scene) -> None:
        """Remember that it was reached; the world calls this 30 times a second."""
        if not scene.facts.get(self.fact) and self.goal.success(scene):
            scene.facts[self.fact] = 1.0

    def target(self, scene: Scene) -> Array:
        return self.goal.target(scene)

    def place(self, scene: Scene) -> Array:
        return self.goal.place(scene)

    def success(self, scene: Scene) -> bool:
        return bool(scene.facts.get(self.fact)) or self.goal.success(scene)

    def progress(self, scene: Scene) -> float:
        return 1.0 if self.success(scene) else self.goal.progress(scene)


@dataclass(frozen=True)
class Unless:
    """`goal`, until `other` has been brought about."""

    goal: Goal
    other: Goal

    def target(self, scene: Scene) -> Array:
        return self.goal.target(scene)

    def place(self, scene: Scene) -> Array:
        return self.goal.place(scene)

    def success(self, scene: Scene) -> bool:
        return self.other.success(scene) or self.goal.success(scene)

    def progress(self, scene: Scene) -> float:
        return 1.0 if self.success(scene) else self.goal.progress(scene)


@dataclass(frozen=True)
class Never:
    """`fact` must not become true; once it has, the attempt is lost."""

    fact: str

    def target(self, scene: Scene) -> Array:
        return scene.pose(ARM, TIP).position

    place = target

    def success(self, scene: Scene) -> bool:
        return not scene.facts.get(self.fact)

    def progress(self, scene: Scene) -> float:
        return float(self.success(scene))


@dataclass(frozen=True)
class Wait:
    """Look on until `fact` is true."""

    fact: str

    def target(self, scene: Scene) -> Array:
        return scene.pose(ARM, TIP).position

    place = target

    def success(self, scene: Scene) -> bool:
        return bool(scene.facts.get(self.fact))

    def progress(self, scene: Scene) -> float:
        return float(self.success(scene))


@dataclass(frozen=True)
class Tally:
    """`goal` brought about `count` times; the task counts in `fact` and sets the scene back each time."""

    fact: str
    count: int
    goal: Goal

    def target(self, scene: Scene) -> Array:
        return self.goal.target(scene)

    def place(self, scene: Scene) -> Array:
        return self.goal.place(scene)

    def success(self, scene: Scene) -> bool:
        return scene.facts.get(self.fact, 0.0) >= self.count

    def progress(self, scene: Scene) -> float:
        done = scene.facts.get(self.fact, 0.0)
        return min(1.0, (done + (0.0 if self.success(scene) else 0.9 * self.goal.progress(scene))) / self.count)


def core(goal: Goal) -> Goal:
    """The goal inside, that says what has to be moved where."""
    while isinstance(goal, Once | Unless | Tally):
        goal = goal.goal
    return goal


def watched(goals: list[Goal]) -> list[Once]:
    """The goals that want to look on all the time."""
    return [goal for goal in goals if isinstance(goal, Once)]


def waiting(goal: Goal) -> bool:
    return isinstance(goal, Wait | Never)


def tip_distance(scene: Scene, point: Array) -> float:
    """m, between the fingertips' middle and `point`."""
    return float(np.linalg.norm(scene.pose(ARM, TIP).position - point))
