"""Several datasets as one, also of several arms: frames of all are drawn as from one, pictures stay where they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.counterfactual import WORDS
from policies.data import Ints, TrainingData
from policies.features import bare_name
from robot import registry
from robot.arms import ArmModel
from robot.errors import DataError


class Stack:
    """Looks like the (N, H, W, 3) uint8 array of the pictures of several datasets; indexing reads from each."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts, self.dtype = list(parts), np.dtype(np.uint8)
        self._ends = np.cumsum([len(part) for part in self.parts])
        self.shape: tuple[int, ...] = (int(self._ends[-1]), *self.parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: NDArray[Any]) -> NDArray[np.uint8]:
        """Pictures `index` (B,), in any order."""
        wanted = np.asarray(index, np.int64)
        out = np.empty((*wanted.shape, *self.shape[1:]), np.uint8)
        owner = np.searchsorted(self._ends, wanted, side="right")
        for number, part in enumerate(self.parts):
            mine = owner == number
            if mine.any():
                out[mine] = part[wanted[mine] - (self._ends[number] - len(part))]
        return out


@dataclass(frozen=True)
class Mixture(TrainingData):
    """What `mix` makes of `parts`, frames and episodes of the first one first."""

    parts: tuple[TrainingData, ...] = ()

    @property
    def sources(self) -> tuple[TrainingData, ...]:
        return self.parts

    def split(self, fraction: float, seed: int) -> tuple[Ints, Ints]:
        """As of one dataset, of each."""
        first = np.cumsum([0, *(part.episodes for part in self.parts)])
        train, held = zip(*(part.split(fraction, seed) for part in self.parts))
        return (np.concatenate([e + at for e, at in zip(train, first)]),
                np.concatenate([e + at for e, at in zip(held, first)]))


def mix(parts: Sequence[TrainingData]) -> TrainingData:
    """The `parts`, datasets that were opened with the same cameras, as one; a single one as it is.

    Labels that some lack are zeros there. Raises `DataError` when they differ in what one network needs to be alike.
    """
    if len(parts) == 1:
        return parts[0]
    first, *others = parts
    for other in others:
        for what, one, two in (
                ("joints", _joints(first), _joints(other)), ("a rate of", first.fps, other.fps),
                ("pictures of", _shapes(first), _shapes(other)), ("things_px of", _slots(first), _slots(other))):
            if one != two and None not in (one, two):
                raise DataError(f"{other.path} has {what} {two}, {first.path} {one}; "
                                "datasets that are trained on together must agree")
    frames, episodes = (np.cumsum([0, *counts]) for counts in ([len(p) for p in parts], [p.episodes for p in parts]))

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return Mixture(
        path=Path(" + ".join(str(part.path) for part in parts)), parts=tuple(parts),
        images={camera: Stack([p.images[camera] for p in parts]) for camera in first.images},  # type: ignore[misc]
        state=joined("state"), effort=joined("effort"), action=joined("action"), aux=_aux(parts),
        episode=np.concatenate([p.episode + at for p, at in zip(parts, episodes)]),
        start=np.concatenate([p.start + at for p, at in zip(parts, frames)]), length=joined("length"),
        instructions=[text for p in parts for text in p.instructions], succeeded=joined("succeeded"), fps=first.fps,
        joint_names=first.joint_names, robots=[r for p in parts for r in p.robots or [""] * p.episodes],
        hash=hashlib.sha256(" ".join(p.hash for p in parts).encode()).hexdigest())


def models(data: TrainingData, node: Mapping[str, Any] | str) -> dict[str, ArmModel]:
    """The arms of `data` by the names it gives them: of one arm what `node` (`model=`) describes, of several those
    of the registry, each by its name, but for the one that `node` is.

    Raises `DataError` when `data` are of another arm than `node`, or of one that there is not.
    """
    chosen: ArmModel = registry.build("model", node)
    known, paths = registry.load("model"), {(s.robots or [""])[0]: s.path for s in data.sources}
    if len(paths) == 1:
        name, = paths
        if name != chosen.name and {name, chosen.name} <= set(known):
            raise DataError(f"{data.path} is of the arm {name}, not model={chosen.name}; give model={name}")
        return {name: chosen}
    for name, path in paths.items():
        if name != chosen.name and name not in known:
            raise DataError(f"{path} is of the arm {name!r}; data of several arms are of those that model= knows: "
                            + ", ".join(known))
    return {name: chosen if name == chosen.name else registry.build("model", name) for name in sorted(paths)}


def _aux(parts: Sequence[TrainingData]) -> dict[str, NDArray[np.float32]]:
    out = {}
    slots = next((s for s in map(_slots, parts) if s), 1)
    for name in sorted({name for part in parts for name in part.aux}):
        blocks = slots if name == WORDS else 1  # as long as the longest name, in every slot
        width = max(part.aux[name].shape[1] for part in parts if name in part.aux) // blocks
        columns = []
        for part in parts:
            shape = len(part), blocks, part.aux[name].shape[1] // blocks if name in part.aux else 0
            values = part.aux.get(name, np.zeros(shape, np.float32)).reshape(shape)
            columns.append(np.pad(values, ((0, 0), (0, 0), (0, width - values.shape[2]))).reshape(len(part), -1))
        out[name] = np.concatenate(columns)
    return out


def _joints(data: TrainingData) -> str:
    return ", ".join(map(bare_name, data.joint_names))


def _shapes(data: TrainingData) -> str:
    return ", ".join(f"{array.shape[2]}x{array.shape[1]}" for array in data.images.values()) + " px"


def _slots(data: TrainingData) -> int | None:
    """How many things `data` have room for the names and places of."""
    widths = [v.shape[1] for k, v in data.aux.items() if k.startswith("things_px.")]
    return widths[0] // 3 if widths else None
