"""What comes of an episode while it lasts: how its looks have voted, and where the policy feels about."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from policies import votes
from policies.search import Search


class Episode:
    """One attempt's state beside the weights. `search_m` is the step of `Search`, m; 0 never searches."""

    def __init__(self, search_m: float) -> None:
        self.search = Search(search_m)
        self.memory = votes.blank()  # of the looks until now
        self._first = math.nan  # s, when it was first looked

    def inputs(self, now: float) -> dict[str, Tensor]:
        """For a look at `now` s: the `memory` of those before, its `votes` (1, 1), and `aside` (1, 6), by how many
        metres target and goal are taken to lie beside where they are seen."""
        if math.isnan(self._first):
            self._first = now
        x, y = self.search.aside
        return {"memory": self.memory, "votes": torch.tensor([[votes.weight(now - self._first)]]),
                "aside": torch.tensor([[x, y, 0.0] * 2])}
