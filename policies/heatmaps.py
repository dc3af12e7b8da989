"""Pixel positions as heatmaps: targets, losses and the read-out, all in image fractions (u right, v down)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def centres(height: int, width: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Image fractions of the cell centres: u (W,), v (H,)."""
    u = (torch.arange(width, device=device) + 0.5) / width
    v = (torch.arange(height, device=device) + 0.5) / height
    return u, v


def blobs(uv: Tensor, height: int, width: int, sigma: float = 0.8) -> Tensor:
    """Gaussians (N, H, W) that sum to one around `uv` (N, 2); `sigma` in cells."""
    u, v = centres(height, width, uv.device)
    x = -(((u - uv[:, :1]) * width / sigma) ** 2) / 2
    y = -(((v - uv[:, 1:]) * height / sigma) ** 2) / 2
    return torch.softmax(x, 1)[:, None, :] * torch.softmax(y, 1)[:, :, None]


def cross_entropy(logits: Tensor, uv: Tensor, weight: Tensor) -> Tensor:
    """Mean over `weight` (N,) of the cross-entropy between `logits` (N, H, W) and a blob at `uv` (N, 2)."""
    target = blobs(uv, *logits.shape[-2:]).flatten(1)
    each = -(target * F.log_softmax(logits.flatten(1), -1)).sum(-1)
    return (each * weight).sum() / weight.sum().clamp(min=1.0)


def read(logits: Tensor, reach: int = 2) -> tuple[Tensor, Tensor]:
    """Position (..., 2) and its peak's share of the mass (...,) of `logits` (..., H, W).

    The mean is taken over the cells within `reach` of the peak only, so a second candidate far away
    cannot pull the answer to the empty space between the two.
    """
    height, width = logits.shape[-2:]
    flat = logits.flatten(-2)
    peak = flat.detach().argmax(-1, keepdim=True)
    cells = torch.arange(height * width, device=logits.device)
    row, column = cells // width, cells % width
    near = ((row - peak // width).abs() <= reach) & ((column - peak % width).abs() <= reach)
    inside = torch.softmax(flat.masked_fill(~near, -1e4), -1)
    uv = torch.stack([inside @ ((column + 0.5) / width), inside @ ((row + 0.5) / height)], -1)
    return uv, (torch.softmax(flat, -1) * near).sum(-1)


def sample(maps: Tensor, uv: Tensor) -> Tensor:
    """Features (N, S, C) of `maps` (N, C, H, W) at S places `uv` (N, S, 2), bilinear."""
    grid = (uv * 2 - 1)[:, None].to(maps.dtype)
    return F.grid_sample(maps, grid, align_corners=False, padding_mode="border")[:, :, 0].mT
