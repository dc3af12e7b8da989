"""Labels as they would be had cameras and tables stood elsewhere: geometry that is learned without a picture.

Where a camera sees a thing follows from where both are. So rows without pictures may have any camera and any height,
and a network that finds places from pixels learns how these hang together, not where they once were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from policies.by_arm import ByArm, Which
from policies.sight import Body
from policies.views import SHIFT, TURN, ZOOM

STEADY = 0.25  # of the turn and the shift, for a camera that the tool carries
RISE = 0.03  # m, by which tables stand higher or lower at most
SHARE = 0.5  # of the rows that are of elsewhere


class Moved(NamedTuple):
    """What is seen from there."""

    pixels: dict[str, Tensor]  # `WHAT.CAMERA`, (B, 3): u, v in image fractions, and whether it is seen
    places: dict[str, Tensor]  # `WHAT`, (B, 3) m


def moved(pixels: Mapping[str, Tensor], places: Mapping[str, Tensor], lies: Tensor, views: Mapping[str, ByArm],
          arm: Which, body: Body, generator: torch.Generator) -> Moved:
    """Rows with some other camera poses, fields of view and heights of what is not the arm's.

    `pixels` are by `WHAT.CAMERA` as in `Moved`, `places` (B, 3) m by WHAT, `lies` (B, 1) says whether things lie where
    the table would take them along, `body` has the tool's rotation and place; the tool itself, "tool", stays there.
    """
    turn, tip = body.turn, body.tip
    n, device = len(tip), tip.device

    def dice(*shape: int) -> Tensor:
        return 2 * torch.rand((n, *shape), generator=generator, device=device) - 1

    def normal(*shape: int) -> Tensor:
        return torch.randn((n, *shape), generator=generator, device=device)

    some = (dice(1) < 2 * SHARE - 1).to(tip.dtype)
    rise = torch.cat([torch.zeros_like(tip[:, :2]), RISE * dice(1) * some * lies], -1)
    there = {what: place if what == "tool" else place + rise for what, place in places.items()}
    seen = {}
    for camera, view in views.items():
        carried = view.carried
        size = some * (STEADY if carried else 1.0)
        spin, shift, zoom = TURN * normal(3) * size, SHIFT * normal(3) * size, 1 + ZOOM * dice(1) * some
        if carried:
            shift = (turn @ shift[..., None])[..., 0]
        for what, place in places.items():
            if f"{what}.{camera}" not in pixels:
                continue
            label = pixels[f"{what}.{camera}"]
            by = view.project(arm, there[what] + shift, turn, tip) - view.project(arm, place, turn, tip)
            uv = turned(label[:, :2] + by, view.focal(arm), spin, zoom)
            inside = ((uv > 0) & (uv < 1)).all(-1, keepdim=True)
            same = some < 0.5
            seen[f"{what}.{camera}"] = torch.where(same, label, torch.cat([uv, label[:, 2:] * inside], -1))
    return Moved(seen, there)


def turned(uv: Tensor, focal: Tensor, spin: Tensor, zoom: Tensor) -> Tensor:
    """Where a camera that turned by the small angles `spin` (B, 3) rad about its axes sees what was at `uv` (B, 2).

    `focal` is the focal length, and `zoom` (B, 1) a factor on it, both in image widths.
    """
    ray = torch.cat([(uv - 0.5) / focal, torch.ones_like(uv[:, :1])], -1)
    ray = ray + torch.cross(spin, ray, dim=-1)
    return 0.5 + zoom * focal * ray[:, :2] / ray[:, 2:].clamp(min=0.2)

