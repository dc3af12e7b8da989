"""Where the tool is: forward kinematics of a serial arm in torch, from the figures of its URDF."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from robot.errors import ConfigError

Link = tuple[float, ...]  # a joint as 15 numbers: rotation (9, by rows) and place (3) in its parent, axis (3)


def read_chain(urdf: str | Path, joints: Sequence[str], tip: str) -> tuple[Link, ...]:
    """The joints from the base to the link `tip`, in order, as plain numbers; fixed ones have a zero axis.

    Raises `ConfigError` when the URDF has no such link, or when a moving joint on the way is not in `joints`.
    """
    root = ElementTree.parse(urdf).getroot()
    above = {j.find("child").get("link"): j for j in root.findall("joint")}  # type: ignore[union-attr]
    if tip not in above:
        raise ConfigError(f"{urdf} has no link {tip!r} at the end of a joint")
    chain: list[Link] = []
    while tip in above:
        joint = above[tip]
        moves = joint.get("type") in ("revolute", "continuous")
        if moves and joint.get("name") not in joints:
            raise ConfigError(f"{urdf}: joint {joint.get('name')!r} on the way to the tool is not one of the arm's")
        axis = np.array(_numbers(joint.find("axis"), "xyz", (1, 0, 0))) if moves else np.zeros(3)
        origin = joint.find("origin")
        turn = _rotation(*_numbers(origin, "rpy", (0, 0, 0)))
        chain.append(tuple(float(x) for x in (*turn.flat, *_numbers(origin, "xyz", (0, 0, 0)), *axis)))
        tip = joint.find("parent").get("link")  # type: ignore[union-attr,assignment]
    return tuple(reversed(chain))


def _numbers(element: ElementTree.Element | None, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    text = None if element is None else element.get(key)
    return default if text is None else tuple(float(x) for x in text.split())


def _rotation(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """(3, 3) of URDF's fixed-axis roll, pitch, yaw."""
    (a, b, c), (x, y, z) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    return np.array([[c * b, c * y * x - z * a, c * y * a + z * x],
                     [z * b, z * y * x + c * a, z * y * a - c * x],
                     [-y, b * x, b * a]])


class Chain(nn.Module):
    """Joint angles (..., J) rad to the tip's rotation (..., 3, 3) and place (..., 3) m in the base frame.

    Moving joints of the chain take the columns of `q` in order. Rotation about an axis: Rodrigues' formula. Each joint
    with the links before it is then a homogeneous matrix that is linear in the sine and cosine of its angle.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        super().__init__()
        still, parts, axes = np.eye(4), [], []
        for link in links:
            row = np.array(link)
            still = still @ _frame(row[:9].reshape(3, 3), 1.0, row[9:12])
            if (axis := row[12:]).any():
                cross = np.cross(axis, np.eye(3)).T  # takes a vector to its product with the axis
                square = cross @ cross
                parts.append([still @ _frame(np.eye(3) + square, 1.0), still @ _frame(cross, 0.0),
                              still @ _frame(-square, 0.0)])
                axes.append(axis)
                still = np.eye(4)
        self.joints = len(axes)
        for name, table in zip(("fixed", "sine", "cosine"), np.array(parts).swapaxes(0, 1)):
            self.register_buffer(name, torch.tensor(table, dtype=torch.float32), persistent=False)  # (K, 4, 4)
        self.register_buffer("axes", torch.tensor(np.array(axes)[..., None], dtype=torch.float32), persistent=False)
        self.register_buffer("tail", torch.tensor(still, dtype=torch.float32), persistent=False)

    def forward(self, q: Tensor) -> tuple[Tensor, Tensor]:
        tip = self._frames(q)[-1] @ self.tail
        return tip[..., :3, :3], tip[..., :3, 3]

    def _frames(self, q: Tensor) -> list[Tensor]:
        """The frame (..., 4, 4) of each of the K moving joints, turned already."""
        angle = q[..., : self.joints, None, None]
        steps = self.fixed + torch.sin(angle) * self.sine + torch.cos(angle) * self.cosine
        return list(itertools.accumulate(steps.unbind(-3), torch.matmul))

    def reach(self, q: Tensor, place: Tensor, steps: int = 3, damping: float = 0.01) -> Tensor:
        """Joint angles near `q` (..., J) that bring the tip to `place` (..., 3) m: damped least squares.

        Only the least change of the chain's joints that moves the tip there is made, so the posture stays.
        """
        few = damping**2 * torch.eye(3, device=q.device)
        for _ in range(steps):
            frames = self._frames(q)
            tip, joints = frames[-1] @ self.tail[:, 3:], torch.stack(frames, -3)
            axes, apart = joints[..., :3, :3] @ self.axes, tip[..., None, :3, :] - joints[..., :3, 3:]
            jacobian = torch.linalg.cross(axes, apart, dim=-2)[..., 0].mT  # (..., 3, K)
            change = jacobian.mT @ solve(jacobian @ jacobian.mT + few, place[..., None] - tip[..., :3, :])
            q = torch.cat([q[..., : self.joints] + change[..., 0].clamp(-0.2, 0.2), q[..., self.joints :]], -1)
        return q


def _frame(turn: np.ndarray, scale: float, place: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0)) -> np.ndarray:
    """(4, 4), homogeneous."""
    return np.vstack([np.c_[turn, place], (0.0, 0.0, 0.0, scale)])


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """What `matrix` (..., 3, 3), symmetric, takes to `right` (..., 3, 1): by its adjugate, for any number at once."""
    first, second, third = matrix.unbind(-1)
    aside = torch.linalg.cross(second, third)
    adjugate = torch.stack([aside, torch.linalg.cross(third, first), torch.linalg.cross(first, second)], -2)
    return adjugate @ right / (first * aside).sum(-1)[..., None, None]


def determinant(matrix: Tensor) -> Tensor:
    """(...,) of (..., 3, 3)."""
    first, second, third = matrix.unbind(-1)
    return (first * torch.linalg.cross(second, third)).sum(-1)
