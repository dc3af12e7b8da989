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
MISS_UV = 0.01  # of the picture, by which the tool is missed
AWAY = 0.8  # m from the tool, further off nothing is that can be reached
MEET, PEAK = 0.02, 0.3  # m, share of a heatmap: two cameras that find the same thing are as near to one another
LOW, HIGH = -0.05, 0.3  # m, where things may lie or be held

Ray = tuple[Tensor, Tensor]  # directions (B, S, 3), of any length, and where they begin (B, S, 3) m


class Body(NamedTuple):
    """What an arm knows of itself."""

    known: Tensor  # (B, N), as a network is told it
    turn: Tensor  # (B, 3, 3) the tool's rotation
    tip: Tensor  # (B, 3) m, the tool's place


class Met(NamedTuple):
    """What S things are seen by: of each camera the rays, and of all where they cross."""

    pixels: Tensor  # (B, S, 3 cameras), see `Sight.pixels`
    rays: Sequence[Ray]
    sure: Sequence[Tensor]  # (B, S, 1) bool, whether a camera sees it
    crossed: Sequence[Tensor]  # place (B, S, 3) m, how far (B, S, 1) m it is off, and whether (B, S, 1) it is one

    def of(self, some: slice) -> Met:
        """Some of the things alone."""
        return Met(self.pixels[:, some], [(ray[:, some], begin[:, some]) for ray, begin in self.rays],
                   [s[:, some] for s in self.sure], [c[:, some] for c in self.crossed])


class Sight(nn.Module):
    """Several cameras at once, by name; of their projections nothing is learned. S things are looked at together."""

    def __init__(self, cameras: Sequence[str], builds: Sequence[Build], crosses: bool) -> None:
        """`crosses` says whether it tells where the rays of all cameras meet."""
        super().__init__()
        self.cameras, self.crosses = tuple(cameras), crosses
        self.views = nn.ModuleList(ByArm(View(b.views[k], b.carried[k]) for b in builds) for k, _ in enumerate(cameras))

    def named(self) -> dict[str, ByArm]:
        """The views by camera."""
        return dict(zip(self.cameras, self.views))  # type: ignore[arg-type]

    def off(self, uv: Mapping[str, Tensor], sure: Mapping[str, Tensor], body: Body, arm: Which) -> dict[str, Tensor]:
        """By camera of `uv` (B, 3): how far it is off, see `reference.shifts`."""
        views = self.named()
        return shifts(uv, sure, {c: views[c].project(arm, body.tip, body.turn, body.tip) for c in uv})

    def right(self, uv: Sequence[Tensor], off: Mapping[str, Tensor], body: Body, arm: Which) -> list[Tensor]:
        """Where a mean camera would see what each camera sees at `uv` (B, S, 2), by how far some are `off` (B, 3).

        That is known where the tool is. What made it so, a turn, a shift or a zoom, is not; so elsewhere it is as far
        off as it is on average with cameras that differ as they usually do (the conditional mean of a Gaussian
        process, Rasmussen and Williams 2006, section 2.2).
        """
        out, turn, tip = [], body.turn[:, None], body.tip[:, None]
        for camera, view, seen in zip(self.cameras, self.views, uv):
            if camera in off:
                shift = off[camera][:, :2, None]
                with torch.no_grad():
                    about = level(*view.rays(arm, seen - shift.mT, turn, tip), LEVEL)  # type: ignore[operator]
                    sways = view.sways(arm, torch.cat([tip, about], 1), turn, tip)  # type: ignore[operator]
                    tool, there = sways[:, 0], sways[:, 1:]
                    (a, b), (_, d) = ((tool @ tool.mT) + MISS_UV**2 * torch.eye(2, device=tip.device)).permute(1, 2, 0)
                    back = torch.stack([d, -b, -b, a], -1).unflatten(-1, (2, 2)) / (a * d - b * b)[:, None, None]
                    tells = there @ (tool.mT @ back)[:, None]
                seen = seen - (tells @ shift[:, None])[..., 0]
            out.append(seen)
        return out

    def pixels(self, uv: Sequence[Tensor], sure: Sequence[Tensor]) -> Tensor:
        """(B, S, 3 cameras): where mean cameras see things and 1, or nothing and -1 where they are not seen.

        `uv` (B, S, 2) image fractions, set right, and `sure` (B, S) are of each camera.
        """
        seen = [(s > 0.5).to(p.dtype)[..., None] for p, s in zip(uv, sure)]
        return torch.cat([torch.cat([(p * 2 - 1) * s, s * 2 - 1], -1) for p, s in zip(uv, seen)], -1)

    def met(self, pixels: Tensor, body: Body, arm: Which) -> Met:
        """What things are seen by, as `pixels` (B, S, 3 cameras) say."""
        spots = [pixels[..., 3 * k : 3 * k + 3] for k, _ in enumerate(self.views)]
        rays, sure = self._rays([p[..., :2] / 2 + 0.5 for p in spots], body, arm), [p[..., 2:] > 0 for p in spots]
        return Met(pixels, rays, sure, crossing(rays, sure) if self.crosses else ())

    def agreed(self, uv: Sequence[Tensor], sure: Sequence[Tensor], mass: Sequence[Tensor], body: Body,
               arm: Which) -> list[Tensor]:
        """`sure` (B, S) of each camera, and 1 where all of them point at one place, which does not happen by chance.

        `uv` (B, S, 2) are set right, `mass` (B, S) is the share of each heatmap about its peak. One camera has to be
        sure by itself.
        """
        rays, share = self._rays(uv, body, arm), torch.stack(list(mass))
        point, gap, firm = crossing(rays, [torch.ones_like(m, dtype=torch.bool)[..., None] for m in mass])
        near = firm & (gap < MEET) & (point[..., 2:] > LOW) & (point[..., 2:] < HIGH)
        agree = near[..., 0] & (share.amin(0) > PEAK) & (torch.stack(list(sure)).amax(0) > 0.5)
        return [torch.where(agree, torch.ones_like(s), s) for s in sure]

    def _rays(self, uv: Sequence[Tensor], body: Body, arm: Which) -> list[Ray]:
        turn, tip = body.turn[:, None], body.tip[:, None]
        return [view.rays(arm, p, turn, tip) for view, p in zip(self.views, uv)]  # type: ignore[operator]


class Place(MLP):
    """Where things are, from where they are seen.

    A mix of where each camera's ray meets a level, where the rays cross if it is told of that, and where the tool is,
    and a small correction.
    """

    def __init__(self, known: int, cameras: int, still: int, carried: int, crosses: bool) -> None:
        """`known` numbers of the body; of the cameras, `still` that stand and `carried` ones are set right."""
        super().__init__(3 * (cameras + still + carried + crosses) + known, 192, 3 + 1 + cameras + 1 + crosses)
        self.still = still

    def find(self, met: Met, off: Mapping[str, Tensor], body: Body) -> Tensor:
        """(B, S, 3) m."""
        count, tip = met.pixels.shape[1], body.tip[:, None]

        def each(row: Tensor) -> Tensor:
            return row[:, None].expand(-1, count, -1)

        shifted = [each(told(shift)) for shift in off.values()]
        x = [met.pixels, each(body.known), *shifted[: self.still]]
        if met.crossed:
            point, gap, firm = met.crossed
            x.append(torch.cat([(point[..., 2:] - LEVEL) / OFFSET, gap / MISS, firm], -1).clamp(-3, 3) * firm)
        raw = self(torch.cat(x + shifted[self.still :], -1))  # the newest last: so checkpoints can be gone on with
        height = LEVEL + OFFSET * raw[..., 3:4]
        places = [(level(*ray, height), sure) for ray, sure in zip(met.rays, met.sure)]
        if met.crossed:
            places.append((met.crossed[0], met.crossed[2]))
        found, usable = torch.stack([point for point, _ in places], -2), torch.cat([sure for _, sure in places], -1)
        usable = usable & ((found - tip[..., None, :]).norm(dim=-1) < AWAY)
        weights = torch.where(usable, raw[..., 5:], torch.full_like(raw[..., :1], -1e4))
        mix = torch.softmax(torch.cat([raw[..., 4:5], weights], -1), -1)
        found = torch.where(usable[..., None], found, tip[..., None, :])
        return mix[..., :1] * tip + (found * mix[..., 1:, None]).sum(-2) + 0.4 * OFFSET * raw[..., :3]
