"""Where the tool is: forward kinematics of a serial arm in torch, from the figures of its URDF."""

from __future__ import annotations

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

    Moving joints of the chain take the columns of `q` in order. Rotation about an axis: Rodrigues' formula.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        super().__init__()
        table = torch.tensor(links, dtype=torch.float32).view(-1, 15)
        self.register_buffer("turns", table[:, :9].reshape(-1, 3, 3), persistent=False)
        self.register_buffer("places", table[:, 9:12], persistent=False)
        axis = table[:, 12:]
        self.register_buffer("axes", axis, persistent=False)
        zero = torch.zeros(len(table))
        cross = torch.stack([zero, -axis[:, 2], axis[:, 1], axis[:, 2], zero, -axis[:, 0], -axis[:, 1], axis[:, 0],
                             zero], -1).view(-1, 3, 3)
        self.register_buffer("cross", cross, persistent=False)
        self.moving = [bool(a.abs().sum() > 0) for a in axis]

    def forward(self, q: Tensor) -> tuple[Tensor, Tensor]:
        turn, place, _, _ = self.walk(q)
        return turn, place

    def walk(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `forward`, and each moving joint's axis and a point on it, (..., K, 3) in the base frame."""
        eye = torch.eye(3, dtype=q.dtype, device=q.device)
        turn, place = eye.expand(*q.shape[:-1], 3, 3), torch.zeros(*q.shape[:-1], 3, dtype=q.dtype, device=q.device)
        axes, points, column = [], [], 0
        for k, moves in enumerate(self.moving):
            place = place + turn @ self.places[k]
            turn = turn @ self.turns[k]
            if moves:
                angle, cross = q[..., column, None, None], self.cross[k]
                axes.append(turn @ self.axes[k])
                points.append(place)
                turn = turn @ (eye + torch.sin(angle) * cross + (1 - torch.cos(angle)) * (cross @ cross))
                column += 1
        return turn, place, torch.stack(axes, -2), torch.stack(points, -2)

    def reach(self, q: Tensor, place: Tensor, steps: int = 3, damping: float = 0.01) -> Tensor:
        """Joint angles near `q` (..., J) that bring the tip to `place` (..., 3) m: damped least squares.

        Only the least change of the chain's joints that moves the tip there is made, so the posture stays.
        """
        k = sum(self.moving)
        for _ in range(steps):
            _, tip, axes, points = self.walk(q)
            jacobian = torch.cross(axes, tip.unsqueeze(-2) - points, dim=-1).transpose(-1, -2)  # (..., 3, K)
            square = jacobian @ jacobian.transpose(-1, -2) + damping**2 * torch.eye(3, device=q.device)
            change = jacobian.transpose(-1, -2) @ torch.linalg.solve(square, (place - tip).unsqueeze(-1))
            q = torch.cat([q[..., :k] + change[..., 0].clamp(-0.2, 0.2), q[..., k:]], -1)
        return q
