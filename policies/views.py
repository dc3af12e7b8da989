"""Cameras as a dataset shows them: a projection fitted to its labels, and rays from pixels back into the scene."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from policies.kinematics import determinant, solve

TURN, SHIFT, ZOOM = 0.03, 0.015, 0.08  # rad, m and share by which cameras stand elsewhere than on average
NEAR = 0.03  # m, no camera is taken to be nearer than that
FLAT = 0.06  # twice the squared sine of the angle, 10 degrees, under which two rays must cross at least
Matrix = tuple[float, ...]  # a projection (3, 4) by rows: places (m) to image fractions, homogeneous


def fit(places: np.ndarray, pixels: np.ndarray) -> tuple[Matrix, float]:
    """The projection that best takes `places` (N, 3) m to `pixels` (N, 2), and its median error (fractions).

    Direct linear transformation (Hartley and Zisserman, Multiple View Geometry, 2nd ed., section 7.1), with the
    coordinates scaled first.
    """
    middle, spread = places.mean(0), places.std(0).mean() + 1e-9
    x = np.concatenate([(places - middle) / spread, np.ones((len(places), 1))], 1)
    u, v, zero = pixels[:, :1], pixels[:, 1:], np.zeros_like(x)
    rows = np.concatenate([np.concatenate([x, zero, -u * x], 1), np.concatenate([zero, x, -v * x], 1)])
    _, vectors = np.linalg.eigh(rows.T @ rows)
    matrix = vectors[:, 0].reshape(3, 4)
    scale = np.eye(4)
    scale[:3, :3] /= spread
    scale[:3, 3] = -middle / spread
    matrix = matrix @ scale
    matrix /= np.linalg.norm(matrix[2, :3])
    seen = np.concatenate([places, np.ones((len(places), 1))], 1) @ matrix.T
    if np.median(seen[:, 2]) < 0:
        matrix, seen = -matrix, -seen
    error = np.linalg.norm(seen[:, :2] / seen[:, 2:] - pixels, axis=1)
    return tuple(float(m) for m in matrix.flat), float(np.median(error))


class View(nn.Module):
    """Rays of one camera; it stands still, or is carried by the tool when `carried`."""

    def __init__(self, matrix: Matrix, carried: bool) -> None:
        super().__init__()
        whole = np.array(matrix, float).reshape(3, 4)
        back = np.linalg.inv(whole[:, :3])
        self.carried = carried
        self.register_buffer("back", torch.tensor(back, dtype=torch.float32), persistent=False)
        self.register_buffer("whole", torch.tensor(whole, dtype=torch.float32), persistent=False)
        self.register_buffer("eye", torch.tensor(-back @ whole[:, 3], dtype=torch.float32), persistent=False)
        side, axis = whole[0, :3], whole[2, :3]
        focal = math.sqrt(max(side @ side - (side @ axis) ** 2, 1e-6))  # of square pixels, its axis in the middle
        self.register_buffer("length", torch.tensor([[focal]], dtype=torch.float32), persistent=False)

    def rays(self, uv: Tensor, turn: Tensor, tip: Tensor) -> tuple[Tensor, Tensor]:
        """Directions, of any length, of rays through `uv` (..., 2), and where they begin: (..., 3) m, base frame."""
        ray = torch.cat([uv, torch.ones_like(uv[..., :1])], -1) @ self.back.T
        eye = self.eye.expand_as(ray)
        if self.carried:
            ray, eye = (turn @ ray[..., None])[..., 0], tip + (turn @ eye[..., None])[..., 0]
        return ray, eye

    def forward(self, uv: Tensor, height: Tensor, turn: Tensor, tip: Tensor) -> Tensor:
        """Where the rays through `uv` (B, 2) meet the level `height` (B, 1) m; (B, 3) m in the base frame."""
        return level(*self.rays(uv, turn, tip), height)

    def focal(self) -> Tensor:
        """(1, 1) focal length in picture widths."""
        return self.length

    def project(self, place: Tensor, turn: Tensor, tip: Tensor) -> Tensor:
        """Image fractions (B, 2) of places (B, 3) m before the camera."""
        if self.carried:
            place = ((place - tip)[:, None] @ turn)[:, 0]
        seen = place @ self.whole[:, :3].T + self.whole[:, 3]
        return seen[:, :2] / seen[:, 2:].clamp(min=1e-3)

    def sways(self, place: Tensor, turn: Tensor, tip: Tensor) -> Tensor:
        """How what it sees at places (..., 3) m moves with the camera: image fractions (..., 2, 7).

        By turns about its three axes, by shifts along those of the base, or of the tool if that carries it, and by
        zoom, each as large as cameras usually differ by.
        """
        if self.carried:
            place = (turn.mT @ (place - tip)[..., None])[..., 0]
        x, y, deep = (place @ self.whole[:, :3].T + self.whole[:, 3]).unbind(-1)
        deep = deep.clamp(min=1e-3)
        uv = torch.stack([x, y], -1) / deep[..., None]
        focal, ray = self.length[0, 0], (uv - 0.5) / self.length
        x, y = ray.unbind(-1)
        one = torch.ones_like(x)
        turns = torch.stack([-x * y, one + x * x, -y, -one - y * y, x * y, x], -1).unflatten(-1, (2, 3)) * focal
        shifts = (self.whole[:2, :3] - uv[..., None] * self.whole[2, :3]) / deep[..., None, None]
        return torch.cat([turns * TURN, shifts * SHIFT, (uv - 0.5)[..., None] * ZOOM], -1)


def level(ray: Tensor, begin: Tensor, height: Tensor) -> Tensor:
    """Where rays (..., 3) that begin at `begin` (..., 3) m meet the level `height` (..., 1) m; (..., 3) m."""
    down = torch.minimum(ray[..., 2:], -0.1 * ray.norm(dim=-1, keepdim=True))
    return begin + ray * ((height - begin[..., 2:]) / down).clamp(0.0, None)


def crossing(rays: list[tuple[Tensor, Tensor]], seen: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays (..., 3), given with where they begin, come closest to all that are `seen` (..., 1), bool.

    The place (..., 3) m, how far (..., 1) m it is from them at most, and whether (..., 1) it is one: two are seen, and
    they are not nearly parallel. Least squares of the angles at which it is missed, so that of a near and a far camera
    the near one says more; first of the distances (Hartley and Sturm, Triangulation, 1997, section 5.1).
    """
    eye, known = torch.eye(3, device=rays[0][0].device), torch.stack(seen)
    ray, begin = torch.stack([F.normalize(r, dim=-1) for r, _ in rays])[..., None], torch.stack([b for _, b in rays])
    aside = (eye - ray * ray.mT) * known[..., None]  # (cameras, ..., 3, 3), what a ray leaves of a vector
    reach, square = (aside @ begin[..., None]), aside.sum(0)
    firm = (known.sum(0) > 1) & (determinant(square)[..., None] > FLAT)
    middle = solve(torch.where(firm[..., None], square, eye), reach.sum(0))[..., 0]
    gaps = (aside @ (middle - begin)[..., None])[..., 0].norm(dim=-1, keepdim=True)
    far = (middle - begin).square().sum(-1)[..., None, None].clamp(min=NEAR**2)
    near = far.amin(0) / far
    square = torch.where(firm[..., None], (aside * near).sum(0), eye)
    return solve(square, (reach * near).sum(0))[..., 0], gaps.amax(0), firm
