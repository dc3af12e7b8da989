"""From where cameras see a thing to where it is: shifts, rays, and the network that weighs them.

Rays hold for any pose of the arm, also for one that no demonstration had; what has to be learned is how high things
are, which camera to believe, and how far the truth lies from where the rays meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from policies.by_arm import ByArm, Which
from policies.encoders import MLP
from policies.features import Build
from policies.planner import MISS, OFFSET
from policies.reference import shifts, told
from policies.views import View, crossing, level

LEVEL = 0.01  # m, about which things lie
AWAY = 0.8  # m from the tool, further off nothing is that can be reached
MEET, PEAK = 0.02, 0.3  # m, share of a heatmap: two cameras that find the same thing are as near to one another
LOW, HIGH = -0.05, 0.3  # m, where things may lie or be held

Ray = tuple[Tensor, Tensor]  # directions (B, 3), of any length, and where they begin (B, 3) m


class Body(NamedTuple):
    """What an arm knows of itself."""

    known: Tensor  # (B, N), as a network is told it
    turn: Tensor  # (B, 3, 3) the tool's rotation
    tip: Tensor  # (B, 3) m, the tool's place


class Sight(nn.Module):
    """Several cameras at once, by name; of their projections nothing is learned."""

    def __init__(self, cameras: Sequence[str], builds: Sequence[Build]) -> None:
        super().__init__()
        self.cameras = tuple(cameras)
        self.views = nn.ModuleList(ByArm(View(b.views[k], b.carried[k]) for b in builds) for k, _ in enumerate(cameras))

    def named(self) -> dict[str, ByArm]:
        """The views by camera."""
        return dict(zip(self.cameras, self.views))  # type: ignore[arg-type]

    def off(self, uv: Mapping[str, Tensor], sure: Mapping[str, Tensor], body: Body, arm: Which) -> dict[str, Tensor]:
        """By camera of `uv` (B, 3): how far it is off, see `reference.shifts`."""
        views = self.named()
        return shifts(uv, sure, {c: views[c].project(arm, body.tip, body.turn, body.tip) for c in uv})

    def pixels(self, uv: Sequence[Tensor], sure: Sequence[Tensor], off: Mapping[str, Tensor]) -> Tensor:
        """(B, 3 cameras): where a mean camera would see one thing and 1, or nothing and -1 where it is not seen.

        `uv` (B, 2) image fractions and `sure` (B,) are of each camera, `off` of those that are set right.
        """
        seen = [(s > 0.5).to(p.dtype)[:, None] for p, s in zip(uv, sure)]
        return torch.cat([torch.cat([(p * 2 - 1) * s, s * 2 - 1], -1) for p, s in zip(self._right(uv, off), seen)], -1)

    def rays(self, pixels: Tensor, body: Body, arm: Which) -> list[tuple[Ray, Tensor]]:
        """Of each camera the ray through what `pixels` say, and (B, 1) bool whether it sees anything."""
        spots = [pixels[:, 3 * k : 3 * k + 3] for k, _ in enumerate(self.views)]
        return [(view.rays(arm, p[:, :2] / 2 + 0.5, body.turn, body.tip), p[:, 2:] > 0)  # type: ignore[operator]
                for view, p in zip(self.views, spots)]

    def agreed(self, uv: Sequence[Tensor], sure: Sequence[Tensor], mass: Sequence[Tensor], off: Mapping[str, Tensor],
               body: Body, arm: Which) -> list[Tensor]:
        """`sure` (B,) of each camera, and 1 where all of them point at one place, which does not happen by chance.

        `mass` (B,) is the share of each heatmap about its peak. One camera has to be sure by itself.
        """
        rays = [view.rays(arm, p, body.turn, body.tip)  # type: ignore[operator]
                for view, p in zip(self.views, self._right(uv, off))]
        point, gap, firm = crossing(rays, [torch.ones_like(m, dtype=torch.bool)[:, None] for m in mass])
        near = firm & (gap < MEET) & (point[:, 2:] > LOW) & (point[:, 2:] < HIGH)
        agree = near[:, 0] & (torch.stack(list(mass)).amin(0) > PEAK) & (torch.stack(list(sure)).amax(0) > 0.5)
        return [torch.where(agree, torch.ones_like(s), s) for s in sure]

    def _right(self, uv: Sequence[Tensor], off: Mapping[str, Tensor]) -> list[Tensor]:
        return [p - off[c][:, :2] if c in off else p for c, p in zip(self.cameras, uv)]


class Place(MLP):
    """Where one thing is, from where it is seen.

    A mix of where each camera's ray meets a level, where the rays cross if it `crosses` them, and where the tool is,
    and a small correction.
    """

    def __init__(self, known: int, cameras: int, still: int, carried: int, crosses: bool) -> None:
        """`known` numbers of the body; of the cameras, `still` that stand and `carried` ones are set right."""
        super().__init__(3 * (cameras + still + carried + crosses) + known, 192, 3 + 1 + cameras + 1 + crosses)
        self.still, self.crosses = still, crosses

    def find(self, sight: Sight, pixels: Tensor, off: Mapping[str, Tensor], body: Body, arm: Which) -> Tensor:
        """(B, 3) m from `pixels` (B, 3 cameras), see `Sight.pixels`."""
        rays, crossed = sight.rays(pixels, body, arm), []
        shifted = [told(shift) for shift in off.values()]
        x = [pixels, body.known, *shifted[: self.still]]
        if self.crosses:
            point, gap, firm = crossing([ray for ray, _ in rays], [sure for _, sure in rays])
            crossed = [(point, firm)]
            x.append(torch.cat([(point[:, 2:] - LEVEL) / OFFSET, gap / MISS, firm], -1).clamp(-3, 3) * firm)
        raw = self(torch.cat(x + shifted[self.still :], -1))  # the newest last: so checkpoints can be gone on with
        height = LEVEL + OFFSET * raw[:, 3:4]
        levelled = [(level(*ray, height), sure) for ray, sure in rays]
        found, weights = [body.tip], [raw[:, 4:5]]
        for k, (point, sure) in enumerate(levelled + crossed):
            usable = sure & ((point - body.tip).norm(dim=-1, keepdim=True) < AWAY)
            found.append(torch.where(usable, point, body.tip))
            weights.append(torch.where(usable, raw[:, 5 + k : 6 + k], torch.full_like(raw[:, :1], -1e4)))
        mix = torch.softmax(torch.cat(weights, -1), -1)
        return (torch.stack(found, 1) * mix[..., None]).sum(1) + 0.4 * OFFSET * raw[:, :3]
