"""A training step on the cores of a CPU: the batch in shares, each from pictures to gradients on one thread.

A small network's layers are too small to be worth splitting each: threads wait for each other after every one, and a
whole batch's maps do not fit into the cache. Shares do not depend on the number of threads, so neither do the results,
as long as there is at most one thread a share; with more, they differ by rounding.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from policies.base import Batch, ChunkPolicy

SHARE = 32  # picture samples


class Team:
    """Threads that take the shares of a step of `batch` picture samples in turn; `threads` cores are theirs."""

    def __init__(self, threads: int, batch: int) -> None:
        self._count = max(1, batch // SHARE)
        each = max(1, threads // self._count)
        self._pool = ThreadPoolExecutor(min(threads, self._count), "training", _begin, (each,))

    def learn(self, policy: ChunkPolicy, frames: Batch, rows: Batch, seed: int) -> dict[str, Tensor]:
        """The named losses of one step, their gradient left in the parameters' `grad` as by `backward`.

        There is no gradient of losses that are not finite.
        """
        count = min(self._count, len(rows["state"]))
        parameters = [p for p in policy.parameters() if p.requires_grad]

        def share(k: int) -> tuple[dict[str, Tensor], tuple[Tensor | None, ...]]:
            # every count-th sample, so that a share has its part of the batch's first ones, which may be others
            mine = ({name: values[k::count] for name, values in part.items()} for part in (frames, rows))
            losses = policy(*mine, torch.Generator().manual_seed(seed + k))
            total = torch.stack(list(losses.values())).sum()
            known = {name: v.detach() for name, v in losses.items()}
            if not bool(torch.isfinite(total)):  # torch may crash on the way back
                return known, (None,) * len(parameters)
            return known, torch.autograd.grad(total / count, parameters, allow_unused=True)

        shares = list(self._pool.map(share, range(count)))
        for parameter, *parts in zip(parameters, *(gradients for _, gradients in shares)):
            there = [part for part in parts if part is not None]
            parameter.grad = torch.stack(there).sum(0) if there else None
        return {name: torch.stack([losses[name] for losses, _ in shares]).mean() for name in shares[0][0]}


def _begin(threads: int) -> None:
    """A thread's own settings."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
