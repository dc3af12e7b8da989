"""The tool as a mark in the picture: what a camera that was pushed aside is set right by.

Where the tool is, the joints tell; where a camera sees it, its picture does. What differs is how far that camera
stands from where it stood on average in training, and everything near the tool is off by the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from policies import heatmaps
from policies.encoders import MLP

FAR = 0.2  # of the picture: what is further off than this was taken for the tool by mistake
TENTH = 0.1  # of the picture, the unit of what the network is told


class Mark(NamedTuple):
    """The tool in one camera's pictures."""

    heat: Tensor  # (B, h, w) logits
    uv: Tensor  # (B, 2) image fractions
    seen: Tensor  # (B,) logits


class Reference(nn.Module):
    """Finds the tool in what an eye made of a picture: `width` channels and a vector of `summary`."""

    def __init__(self, width: int, summary: int) -> None:
        super().__init__()
        self.map = nn.Conv2d(width, 1, 1)
        self.seen = MLP(summary + width + 1, 64, 1, 1)

    def forward(self, features: Tensor, summary: Tensor) -> Mark:
        heat = self.map(features)[:, 0]
        uv, _ = heatmaps.read(heat)
        spot = heatmaps.sample(features, uv.detach()[:, None])[:, 0]
        peak = heat.flatten(1).amax(-1, keepdim=True).detach()
        return Mark(heat, uv, self.seen(torch.cat([summary, spot, peak], -1))[:, 0])


def shifts(uv: Mapping[str, Tensor], sure: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By camera (B, 3): how far its picture lies from a mean camera's, in image fractions, and 1; or zeros and -1.

    `uv` (B, 2) is where the tool is seen, `sure` (B,) how surely, `expected` (B, 2) where a mean camera would see it.
    """
    out = {}
    for camera, found in uv.items():
        shift = found - expected[camera]
        known = ((sure[camera] > 0.5) & (shift.norm(dim=-1) < FAR))[:, None]
        out[camera] = torch.cat([torch.where(known, shift, 0.0), 2.0 * known - 1.0], -1)
    return out


def told(shift: Tensor) -> Tensor:
    """A shift (B, 3) in the size that a network is told it in."""
    return torch.cat([shift[:, :2] / TENTH, shift[:, 2:]], -1)
