"""Which of several places a thing is at that does not move: every look has a vote, and the first ones count most.

Where it is, the newest look knows best. Which thing it is may be clearest before the arm stands in the way and has
changed what there is to see: a drawer that is half open does not show which way it was to go.
"""

from __future__ import annotations

import torch
from torch import Tensor

SLOTS = 6  # places that are remembered
NEAR = 0.03  # m, within which two looks mean the same
MOST = 2.0  # votes that count: what really went elsewhere is believed after a while
LEAST = 0.25  # of a vote, a late look's
FADE = 1.3  # s after which a look has half a vote


def blank(batch: int = 1) -> Tensor:
    """(B, SLOTS, 4) of nothing seen: places (m), and the votes that each has."""
    return torch.zeros((batch, SLOTS, 4))


def weight(seconds: float) -> float:
    """The votes of a look `seconds` after the first."""
    return max(1.0 / (1.0 + seconds / FADE), LEAST)


def elect(memory: Tensor, place: Tensor, votes: Tensor) -> tuple[Tensor, Tensor]:
    """The place (B, 3) m that has most votes, and the memory, after a look that found `place` and has `votes` (B, 1).

    Of two with as many, it is the newest look's.
    """
    places, score = memory[..., :3], memory[..., 3]
    apart = (places - place[:, None]).norm(dim=-1)
    near = (score > 0) & (apart < NEAR)
    known = near.any(-1, keepdim=True)
    which = torch.where(known, torch.where(near, -apart, -torch.ones_like(apart)), -score).argmax(-1, keepdim=True)
    mine = torch.arange(SLOTS, device=place.device) == which
    total = torch.where(mine, (score * known + votes).clamp(max=MOST), score)
    places = torch.where(mine[..., None], place[:, None], places)
    best = (total + 1e-3 * mine).argmax(-1)
    chosen = places.gather(1, best[:, None, None].expand(-1, 1, 3))[:, 0]
    return chosen, torch.cat([places, total[..., None]], -1)
