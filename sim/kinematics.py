"""Forward and inverse kinematics of a URDF chain in NumPy: positions first, then as much orientation as is left."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robot.errors import SceneError
from robot.interfaces import Array
from sim.look import rotation


@dataclass(frozen=True)
class Solution:
    """Joint angles and how far from what was asked they are."""

    q: Array  # (J,) rad, arm joints only
    position: float  # m, error
    tilt: float  # rad, between the approach axes


class Chain:
    """The joints `names` of a URDF as far as they move the link `tip`; others stay at zero."""

    def __init__(self, urdf: Path, names: Sequence[str], tip: str, lower: Array, upper: Array) -> None:
        """`lower`, `upper` (J,) rad. Raises `SceneError` when the URDF has no link `tip`."""
        joints = {}
        for joint in ElementTree.parse(urdf).getroot().findall("joint"):
            joints[_child(joint)] = joint
        if tip not in joints:
            raise SceneError(f"{urdf.name} has no link {tip!r} that a joint carries; give the arm model's tcp")
        path = []
        while tip in joints:
            path.append(joints[tip])
            tip = joints[tip].find("parent").attrib["link"]
        self.count, self.lower, self.upper = len(names), lower, upper
        self._steps = [self._step(joint, list(names)) for joint in reversed(path)]
        first = np.eye(4)
        for fixed, index, _, _ in self._steps:
            first = first @ fixed
            if index >= 0:
                break
        self.pivot = first[:2, 3].copy()  # (2,) m, where the first joint's axis meets the table

    @staticmethod
    def _step(joint: ElementTree.Element, names: list[str]) -> tuple[Array, int, Array, bool]:
        fixed = np.eye(4)
        origin = joint.find("origin")
        if origin is not None:
            fixed[:3, :3] = _euler([float(v) for v in origin.attrib.get("rpy", "0 0 0").split()])
            fixed[:3, 3] = [float(v) for v in origin.attrib.get("xyz", "0 0 0").split()]
        axis = joint.find("axis")
        direction = np.array([float(v) for v in (axis.attrib["xyz"] if axis is not None else "1 0 0").split()])
        name, kind = joint.attrib["name"], joint.attrib["type"]
        index = names.index(name) if name in names and kind != "fixed" else -1
        return fixed, index, direction, kind == "prismatic"

    def pose(self, q: Array) -> Array:
        """(4, 4) of the tip in the root's frame."""
        return self._climb(q)[0]

    def _climb(self, q: Array) -> tuple[Array, list[tuple[int, Array, Array, bool]]]:
        """(4, 4) of the tip, and of every joint on the way there: index, axis and origin (3,), whether it slides."""
        frame, moving = np.eye(4), []
        for fixed, index, axis, prismatic in self._steps:
            frame = frame @ fixed
            if index < 0:
                continue
            direction = frame[:3, :3] @ axis
            moving.append((index, direction, frame[:3, 3].copy(), prismatic))
            if prismatic:
                frame[:3, 3] += direction * q[index]
            else:
                frame[:3, :3] = frame[:3, :3] @ _about(axis, q[index])
        return frame, moving

    def _walk(self, q: Array) -> tuple[Array, Array, Array]:
        """(4, 4) of the tip, and its Jacobians (3, J), linear and angular."""
        (frame, moving), jacobian = self._climb(q), np.zeros((6, self.count))
        tip = frame[:3, 3]
        for index, direction, origin, prismatic in moving:
            if prismatic:
                jacobian[:3, index] = direction
            else:
                jacobian[:3, index] = _cross(direction, tip - origin)
                jacobian[3:, index] = direction
        return frame, jacobian[:3], jacobian[3:]

    def solve(self, position: Array, approach: Array, closing: Array | None, q0: Array,
              iterations: int = 60) -> Solution:
        """Angles that put the tip at `position` (m), its z along `approach` and its x along `closing` (units).

        Damped least squares; orientation works in the null space of position (Nakamura's task priority), so an
        arm with too few joints, or out of reach, keeps the place and gives up the tilt. Limits always hold.
        """
        q = np.clip(q0, self.lower, self.upper)
        for _ in range(iterations):
            frame, linear, angular = self._walk(q)
            error = position - frame[:3, 3]
            length = math.sqrt(float(error @ error))
            turn = _cross(frame[:3, 2], approach)
            if frame[:3, 2] @ approach < 0 and turn @ turn < 1e-3:
                turn = frame[:3, 0]
            if closing is not None:
                z = frame[:3, 2]
                turn = turn + z * float(z @ _cross(frame[:3, 0], closing))
            if length > 0.04:
                error = error * (0.04 / length)
            step = self._priority(linear, angular, error, np.clip(turn, -0.4, 0.4), q)
            q = np.clip(q + step, self.lower, self.upper)
            if length < 2e-4 and float(step @ step) < 1e-7:
                break
        frame = self.pose(q)
        tilt = math.acos(float(np.clip(frame[:3, 2] @ approach, -1, 1)))
        return Solution(q, float(np.linalg.norm(position - frame[:3, 3])), tilt)

    def _priority(self, linear: Array, angular: Array, error: Array, turn: Array, q: Array) -> Array:
        free = np.ones(self.count)
        for _ in range(2):
            first = linear * free
            inverse = first.T @ np.linalg.inv(first @ first.T + 1e-6 * np.eye(3))
            step = inverse @ error
            rest = np.diag(free) - inverse @ first
            second = angular @ rest
            gap = turn - angular @ step
            step = step + rest @ (second.T @ np.linalg.solve(second @ second.T + 4e-3 * np.eye(3), gap))
            blocked = ((q <= self.lower + 1e-9) & (step < 0)) | ((q >= self.upper - 1e-9) & (step > 0))
            if not (blocked & (free > 0)).any():
                break
            free = np.where(blocked, 0.0, free)
        return step * free


def _child(joint: ElementTree.Element) -> str:
    return joint.find("child").attrib["link"]


def _cross(a: Array, b: Array) -> Array:
    (ax, ay, az), (bx, by, bz) = a.tolist(), b.tolist()  # plain floats: numpy's scalars take several times as long
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def _about(axis: Array, angle: float) -> Array:
    return rotation((*(axis * math.sin(angle / 2)).tolist(), math.cos(angle / 2)))


def _euler(rpy: Sequence[float]) -> Array:
    x, y, z = (np.eye(3)[k] for k in range(3))
    return _about(z, rpy[2]) @ _about(y, rpy[1]) @ _about(x, rpy[0])
