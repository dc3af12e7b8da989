"""One policy on several arms: what is fixed by an arm's build is reckoned for every sample as for its own arm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from policies.kinematics import Chain

Which = int | Tensor  # the arm of all samples, or of each: (B,) int64


class ByArm(nn.Module):
    """The same module once for each arm; arms may differ in everything but the shape of what comes out."""

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, arm: Which, *given: Tensor) -> Any:
        """What the module of each sample's arm answers: a tensor (B, …) or several of them."""
        if isinstance(arm, int):
            return self.parts[arm](*given)
        found = [part(*given) for part in self.parts]
        return pick(found, arm) if isinstance(found[0], Tensor) else tuple(pick(one, arm) for one in zip(*found))

    def reach(self, arm: Which, q: Tensor, place: Tensor) -> Tensor:
        """`Chain.reach` of postures (K, B, H, J) rad and places (K, B, H, 3) m."""
        if isinstance(arm, int):
            return _chain(self.parts[arm]).reach(q, place)
        return pick([_chain(part).reach(q, place) for part in self.parts], arm, 1)


def pick(found: Sequence[Tensor], arm: Tensor, dim: int = 0) -> Tensor:
    """Of one tensor for each arm, every sample's own one; samples are along `dim`."""
    out, shape = found[0], [1] * found[0].ndim
    shape[dim] = -1
    for number, other in enumerate(found[1:], 1):
        out = torch.where((arm == number).view(shape), other, out)
    return out


def neighbours(q: Tensor, arm: Which) -> Tensor:
    """For each row of `q` (B, J) another one of the same arm; the first of an arm may get another arm's."""
    if isinstance(arm, int):
        return q.flip(0)
    order = torch.argsort(arm, stable=True)
    return q[torch.empty_like(order).scatter(0, order, order.roll(1))]


def _chain(part: nn.Module) -> Chain:
    assert isinstance(part, Chain)
    return part
