"""Training's view of a dataset: contiguous uint8 images and float columns, gathered by frame number.

Reads LeRobotDataset v3.0 folders (video or image features). The first opening decodes them into a memory-mapped
cache in `<dataset>/.cache`; later openings only compare the cache with its source, file by file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from policies import cache
from policies.stream import VideoFrames
from robot.errors import DataError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
AUX = "aux."


@dataclass(frozen=True)
class TrainingData:
    """N frames of E episodes, in order. Joint values are rad, times are seconds."""

    path: Path
    images: dict[str, np.memmap[Any, np.dtype[np.uint8]] | VideoFrames]  # camera -> (N, H, W, 3) RGB
    state: Floats  # (N, J) rad, measured before the action
    effort: Floats  # (N, J) fraction of rated torque; zeros where the dataset has none
    action: Floats  # (N, J) rad, target for the end of the period
    aux: dict[str, Floats]  # privileged labels, "target_xyz" -> (N, k)
    episode: Ints  # (N,) in [0, E)
    start: Ints  # (E,) first frame of each episode
    length: Ints  # (E,) frames
    instructions: list[str]  # (E,)
    succeeded: NDArray[np.bool_]  # (E,) False for a kept, labelled failure
    fps: float
    joint_names: tuple[str, ...]
    hash: str  # of the content: columns, instructions, and the recorded hashes of the raw episodes
    robots: list[str] = field(default_factory=list)  # (E,) the arm of each episode; empty where data do not say

    @classmethod
    def open(cls, path: str | Path, cameras: Sequence[str] | None = None,
             cache_dir: str | Path | None = None, cached: bool = True) -> TrainingData:
        """The dataset at `path` with the named cameras (all of them when None).

        With `cached` False pictures are decoded from the videos whenever they are asked for: no disk is used,
        and reading is many times slower.

        Raises `DataError`, one line, when it is missing, damaged, of other units, or without such a camera.
        """
        return cls(**cache.load(Path(path), cameras, None if cache_dir is None else Path(cache_dir), cached))

    def __len__(self) -> int:
        return int(self.episode.shape[0])

    @property
    def episodes(self) -> int:
        return len(self.instructions)

    @property
    def sources(self) -> tuple[TrainingData, ...]:
        """The datasets that it is made of."""
        return (self,)

    def frames(self, episodes: NDArray[Any] | Sequence[int]) -> Ints:
        """Frame numbers of these episodes, in the order given."""
        if len(episodes) == 0:
            return np.zeros(0, np.int64)
        return np.concatenate([np.arange(self.start[e], self.start[e] + self.length[e]) for e in episodes])

    def chunks(self, index: NDArray[Any], horizon: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Actions of the `horizon` periods from each frame: (B, H, J) rad, and (B, H) True where real.

        Beyond its episode's end a chunk repeats the last action, with the mask False.
        """
        index = np.asarray(index, np.int64)
        owner = self.episode[index]
        last = self.start[owner] + self.length[owner] - 1
        rows = index[:, None] + np.arange(horizon)
        mask = rows <= last[:, None]
        return self.action[np.minimum(rows, last[:, None])], mask

    def batch(self, index: NDArray[Any], horizon: int) -> dict[str, torch.Tensor]:
        """Frames `index` (B,) as tensors: images.<camera> uint8 (B, H, W, 3), state, effort, action, mask, aux.*.

        `action` is (B, horizon, J), `mask` (B, horizon) bool, `episode` (B,) int64; the rest is float32.
        """
        index = np.asarray(index, np.int64)
        action, mask = self.chunks(index, horizon)
        out = {f"images.{name}": torch.from_numpy(np.asarray(array[index])) for name, array in self.images.items()}
        columns = {"state": self.state[index], "effort": self.effort[index], "action": action, "mask": mask,
                   "episode": self.episode[index], **{AUX + k: v[index] for k, v in self.aux.items()}}
        return out | {key: torch.from_numpy(value) for key, value in columns.items()}

    def split(self, fraction: float, seed: int) -> tuple[Ints, Ints]:
        """Episode numbers (train, validation): about `fraction` of them for validation, the same for one seed.

        Episodes that are labelled failures are in neither. Raises `DataError` when one side would be empty.
        """
        good = np.flatnonzero(self.succeeded)
        held = round(fraction * len(good)) if fraction > 0 else 0
        if fraction > 0:
            held = max(held, 1)
        if held >= len(good):
            raise DataError(f"{self.path} has {len(good)} successful episodes, too few to hold out {held}; "
                            "generate more or lower the validation fraction")
        order = np.random.default_rng(seed).permutation(good)
        return np.sort(order[held:]), np.sort(order[:held])


Layout = list[tuple[str, torch.dtype, Sequence[int]]]


def flat(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Layout]:
    """A batch as one uint8 tensor and what is where in it, for worker processes: handing over costs by the tensor."""
    # The widest types first, so that each lies where its type may.
    parts = sorted(batch.items(), key=lambda item: -item[1].element_size())
    joined = torch.cat([t.contiguous().reshape(-1).view(torch.uint8) for _, t in parts])
    return joined, [(name, t.dtype, t.shape) for name, t in parts]


def unflat(joined: torch.Tensor, layout: Layout) -> dict[str, torch.Tensor]:
    """The batch that `flat` was given; its tensors share the memory of `joined`."""
    out, at = {}, 0
    for name, dtype, shape in layout:
        size = math.prod(shape) * dtype.itemsize
        out[name] = joined[at : at + size].view(dtype).reshape(shape)
        at += size
    return out
