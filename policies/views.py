"""Cameras as a dataset shows them: a projection fitted to its labels, and rays from pixels back into the scene."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

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
        self.register_buffer("eye", torch.tensor(-back @ whole[:, 3], dtype=torch.float32), persistent=False)

    def forward(self, uv: Tensor, height: Tensor, turn: Tensor, tip: Tensor) -> Tensor:
        """Where the rays through `uv` (B, 2) meet the level `height` (B, 1) m; (B, 3) m in the base frame."""
        ray = torch.cat([uv, torch.ones_like(uv[:, :1])], -1) @ self.back.T
        eye = self.eye.expand_as(ray)
        if self.carried:
            ray, eye = (turn @ ray[..., None])[..., 0], tip + (turn @ eye[..., None])[..., 0]
        down = torch.minimum(ray[:, 2:], torch.full_like(ray[:, 2:], -0.1) * ray.norm(dim=-1, keepdim=True))
        return eye + ray * ((height - eye[:, 2:]) / down).clamp(0.0, None)
