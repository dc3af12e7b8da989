"""One policy on several arms: what is fixed by an arm's build is reckoned for every sample as for its own arm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Which = int | Tensor  # the arm of all samples, or of each: (B,) int64


class ByArm(nn.Module):
    """The same module once for each arm; arms may differ in everything but the shape of what comes out."""

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, arm: Which, *given: Tensor) -> Any:
        """What the module of each sample's arm answers: a tensor (B, …) or several of them."""
        return self._asked("__call__", arm, *given)

    def reach(self, arm: Which, q: Tensor, place: Tensor) -> Tensor:
        """`Chain.reach` of postures (K, B, H, J) rad and places (K, B, H, 3) m."""
        answer: Tensor = self._asked("reach", arm, q, place, dim=1)
        return answer

    def project(self, arm: Which, place: Tensor, turn: Tensor, tip: Tensor) -> Tensor:
        """`View.project` of places (B, 3) m."""
        answer: Tensor = self._asked("project", arm, place, turn, tip)
        return answer

    def sways(self, arm: Which, place: Tensor, turn: Tensor, tip: Tensor) -> Tensor:
        """`View.sways` at places (B, ..., 3) m."""
        answer: Tensor = self._asked("sways", arm, place, turn, tip)
        return answer

    def focal(self, arm: Which) -> Tensor:
        """`View.focal`, (1, 1) or (B, 1)."""
        answer: Tensor = self._asked("focal", arm)
        return answer

    @property
    def carried(self) -> bool:
        """Whether the tool carries the camera, on every arm."""
        return all(part.carried for part in self.parts)

    def rays(self, arm: Which, uv: Tensor, turn: Tensor, tip: Tensor) -> tuple[Tensor, Tensor]:
        """`View.rays` through `uv` (B, ..., 2)."""
        answer: tuple[Tensor, Tensor] = self._asked("rays", arm, uv, turn, tip)
        return answer

    def _asked(self, what: str, arm: Which, *given: Tensor, dim: int = 0) -> Any:
        """What the method `what` of each sample's arm answers, a tensor or several of them."""
        if isinstance(arm, int):
            return getattr(self.parts[arm], what)(*given)
        found = [getattr(part, what)(*given) for part in self.parts]
        several = not isinstance(found[0], Tensor)
        return tuple(pick(one, arm, dim) for one in zip(*found)) if several else pick(found, arm, dim)


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
