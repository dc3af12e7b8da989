"""The few kinds of goal that tasks are made of. Success, progress, labels and the expert follow from them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from robot.interfaces import Array
from sim.look import length
from sim.scene import Pose, Scene

ARM, TIP = "arm", "tcp"
REST = 0.03  # m/s, slower than this counts as lying still


@runtime_checkable
class Goal(Protocol):
    """Something to be brought about. Goals hold names and numbers only; the scene holds what is."""

    def target(self, scene: Scene) -> Array:
        """(3,) m, what the arm has to go to first."""
        ...

    def place(self, scene: Scene) -> Array:
        """(3,) m, where it has to end up."""
        ...

    def success(self, scene: Scene) -> bool: ...

    def progress(self, scene: Scene) -> float:
        """In [0, 1]; 1 exactly when it succeeded."""
        ...


@dataclass(frozen=True)
class Reach:
    """The point between the fingertips at `point`, or as far from body `above` as `point` says."""

    point: tuple[float, float, float]  # m
    above: str = ""
    tolerance: float = 0.015  # m
    start: float = 0.2  # m, the distance that counts as no progress

    def target(self, scene: Scene) -> Array:
        base = scene.pose(self.above).position if self.above else np.zeros(3)
        return base + np.asarray(self.point)

    place = target

    def success(self, scene: Scene) -> bool:
        return self._distance(scene) < self.tolerance

    def progress(self, scene: Scene) -> float:
        return 1.0 if self.success(scene) else min(0.95, max(0.0, 1.0 - self._distance(scene) / self.start))

    def _distance(self, scene: Scene) -> float:
        return length(scene.pose(ARM, TIP).position - self.target(scene))


@dataclass(frozen=True)
class Place:
    """`item` let go at `offset` from body `on` (or "body/link"; "" is the base frame), lying still."""

    item: str
    on: str
    offset: tuple[float, float, float]  # m, of the item's centre
    tolerance: float = 0.03  # m, sideways
    height: float = 0.012  # m, up and down
    upright: bool = False
    start: float = 0.2  # m, the distance at the beginning

    def target(self, scene: Scene) -> Array:
        return scene.pose(self.item).position

    def place(self, scene: Scene) -> Array:
        if not self.on:
            return np.asarray(self.offset)
        base = scene.pose(*self.on.split("/"))
        if not any(self.offset[:2]):
            return base.position + self.offset
        yaw = base.yaw
        turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
        return base.position + np.array([*(turn @ self.offset[:2]), self.offset[2]])

    def there(self, scene: Scene) -> bool:
        """The item is where it should be, held or not."""
        return self._fits(pose := scene.pose(self.item), pose.position - self.place(scene))

    def success(self, scene: Scene) -> bool:
        return self.there(scene) and self._left(scene)

    def progress(self, scene: Scene) -> float:
        pose = scene.pose(self.item)  # asked for once: every step of an environment wants its progress
        gap = pose.position - self.place(scene)
        if self._fits(pose, gap) and self._left(scene):
            return 1.0
        reach = length(scene.pose(ARM, TIP).position - pose.position)
        near, way = math.exp(-8.0 * max(0.0, reach - 0.015)), length(gap) / max(self.start, 0.05)
        return 0.2 * near + 0.15 * held(scene, self.item) + 0.55 * max(0.0, 1.0 - way)

    def _fits(self, pose: Pose, gap: Array) -> bool:
        """`pose` of the item, `gap` (3,) m from its place, is good enough."""
        level = not self.upright or float(pose.matrix[2, 2]) > 0.96
        return bool(math.hypot(gap[0], gap[1]) < self.tolerance and abs(gap[2]) < self.height and level)

    def _left(self, scene: Scene) -> bool:
        """The item lies still and untouched."""
        return scene.touch(ARM, self.item) == 0.0 and length(scene.velocity(self.item)[0]) < REST


@dataclass(frozen=True)
class Lift:
    """`item` at least `height` above where it stood."""

    item: str
    start: float  # m, height of its centre at the beginning
    height: float = 0.05  # m

    def target(self, scene: Scene) -> Array:
        return scene.pose(self.item).position

    def place(self, scene: Scene) -> Array:
        x, y, _ = self.target(scene)
        return np.array([x, y, self.start + self.height])

    def success(self, scene: Scene) -> bool:
        return bool(self.target(scene)[2] > self.start + self.height)

    def progress(self, scene: Scene) -> float:
        if self.success(scene):
            return 1.0
        near = math.exp(-8.0 * max(0.0, _reach(scene, self.item) - 0.015))
        risen = min(1.0, max(0.0, (self.target(scene)[2] - self.start) / self.height))
        return 0.3 * near + 0.2 * held(scene, self.item) + 0.45 * risen


@dataclass(frozen=True)
class Push:
    """`item` slid over the table until its centre is within `tolerance` of body `on`."""

    item: str
    on: str
    tolerance: float = 0.02  # m, sideways
    start: float = 0.15  # m, the distance at the beginning

    def target(self, scene: Scene) -> Array:
        return scene.pose(self.item).position

    def place(self, scene: Scene) -> Array:
        x, y, _ = scene.pose(self.on).position
        return np.array([x, y, self.target(scene)[2]])

    def success(self, scene: Scene) -> bool:
        return self._gap(scene) < self.tolerance and length(scene.velocity(self.item)[0]) < REST

    def progress(self, scene: Scene) -> float:
        near = math.exp(-8.0 * max(0.0, _reach(scene, self.item) - 0.03))
        way = max(0.0, 1.0 - self._gap(scene) / max(self.start, 0.05))
        return 1.0 if self.success(scene) else 0.25 * near + 0.7 * way

    def _gap(self, scene: Scene) -> float:
        return length((self.target(scene) - self.place(scene))[:2])


@dataclass(frozen=True)
class JointAt:
    """A joint of a thing moved into a range by its handle: a drawer, a knob, a button."""

    body: str
    joint: str  # also the name of its link
    low: float  # m or rad
    high: float
    aim: float  # m or rad, where the expert moves it
    start: float  # m or rad, at the beginning
    handle: tuple[float, float, float] = (0.0, 0.0, 0.0)  # m, in the link's frame
    closing: tuple[float, float, float] | None = (1.0, 0.0, 0.0)  # in the link's frame; None is pressed, not held
    width: float = 0.012  # m, of the handle

    def target(self, scene: Scene) -> Array:
        pose = scene.pose(self.body, self.joint)
        return pose.position + pose.matrix @ np.asarray(self.handle)

    def place(self, scene: Scene) -> Array:
        origin, axis, slides = scene.axis(self.body, self.joint)
        left = self.aim - scene.joint(self.body, self.joint)
        here = self.target(scene)
        if slides:
            return here + left * axis
        arm = here - origin
        return origin + math.cos(left) * arm + math.sin(left) * np.cross(axis, arm) + (
            1 - math.cos(left)) * float(axis @ arm) * axis

    def success(self, scene: Scene) -> bool:
        return self.low <= scene.joint(self.body, self.joint) <= self.high

    def progress(self, scene: Scene) -> float:
        if self.success(scene):
            return 1.0
        value = scene.joint(self.body, self.joint)
        nearest = min(max(value, self.low), self.high)
        whole = abs(min(max(self.start, self.low), self.high) - self.start)
        near = math.exp(-8.0 * length(scene.pose(ARM, TIP).position - self.target(scene)))
        return 0.3 * near + 0.65 * min(1.0, max(0.0, 1.0 - abs(value - nearest) / max(whole, 1e-6)))


def held(scene: Scene, item: str) -> bool:
    """Both sides of the gripper press on `item`."""
    links = jaws(scene)
    return all(any(scene.touch(ARM, item, link) > 0.05 for link in side) for side in links)


def jaws(scene: Scene) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Links of the arm that touch what it holds: one side, then the other."""
    return _sides(tuple(scene.body(ARM).links))


@functools.lru_cache(maxsize=16)
def _sides(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    moving = tuple(n for n in names if "moving_jaw" in n or "leftfinger" in n or "left_finger" in n)
    other = tuple(n for n in names if "rightfinger" in n or "right_finger" in n) or ("gripper_link",)
    return moving, other


def grasped(scene: Scene, items: list[str]) -> str:
    """The one of `items` that is in the gripper, "" for none."""
    return next((item for item in items if held(scene, item)), "")


def _reach(scene: Scene, item: str) -> float:
    return length(scene.pose(ARM, TIP).position - scene.pose(item).position)


def named(goal: Goal) -> set[str]:
    """The bodies that `goal` is about: what is moved, where to, and whose joint."""
    words = (getattr(goal, key, "") for key in ("item", "on", "body", "above"))
    return {word.split("/")[0] for word in words if word}


def first_open(goals: list[Goal], scene: Scene) -> Goal:
    """The first goal that is not yet reached; the last one when all are."""
    return goals[number_open(goals, scene)]


def number_open(goals: list[Goal], scene: Scene) -> int:
    """Which goal `first_open` is, from 0."""
    return next((k for k, g in enumerate(goals) if not g.success(scene)), len(goals) - 1)


def bottom(scene: Scene, item: str) -> float:
    """m, height of the lowest point of `item`."""
    return scene.bounds(item)[0][2]
