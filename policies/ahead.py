"""Batches of coming steps, made by processes of their own while a GPU is at the present one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset

from policies.base import Batch
from policies.data import Layout, flat, unflat
from policies.sampler import Sampler

Packed = tuple[torch.Tensor, Layout]
AHEAD = 4  # steps that each process is ahead


def batches(sampler: Sampler, start: int, processes: int, pinned: bool = False) -> Iterator[tuple[Batch, Batch]]:
    """What `sampler.step` gives for `start` and every step after it, in order, made by so many `processes`.

    With none the caller makes each when it asks for it. `pinned` batches are quicker to copy to a GPU.
    """
    if processes < 1:
        yield from (sampler.step(step) for step in itertools.count(start))
        return
    loader: DataLoader[tuple[Packed, Packed]] = DataLoader(
        _Steps(sampler), batch_size=None, sampler=itertools.count(start),  # type: ignore[arg-type]
        num_workers=processes, prefetch_factor=AHEAD, pin_memory=pinned)
    for seen, rows in loader:
        yield unflat(*seen), unflat(*rows)


@dataclass(frozen=True)
class _Steps(Dataset[tuple[Packed, Packed]]):
    """Steps by number, each batch as one tensor: handing over to another process costs by the tensor."""

    sampler: Sampler

    def __getitem__(self, step: int) -> tuple[Packed, Packed]:
        seen, rows = self.sampler.step(step)
        return flat(seen), flat(rows)
