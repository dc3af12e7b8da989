"""How much of what may differ did differ: the share of every randomisation axis that a dataset's episodes reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from robot import registry
from sim.randomization import AXES, Randomization
from sim.variation import Choice, Distribution, Either, Uniform

BINS = 10


@dataclass(frozen=True)
class Covered:
    """One axis over a dataset."""

    axis: str
    split: str  # off, train or held out
    share: float  # of the values (a choice) or of ten bins of each dimension's range, the least dimension's
    low: str
    high: str


def coverage(config: Mapping[str, Any], seeds: Iterable[int]) -> list[Covered]:
    """Every axis, from what each seed draws first on it: no scene is built."""
    randomization: Randomization = registry.assemble(config, "randomization")
    seeds = list(seeds)
    drawn: dict[str, list[Any]] = {name: [] for name in AXES}
    for seed in seeds:
        draw = randomization.draw(seed)
        for name in AXES:
            drawn[name].append(draw(name))
    out = []
    for name, axis in AXES.items():
        held_out = name in randomization.held_out
        split = "held out" if held_out else "train" if name in randomization.on else "off"
        out.append(_covered(name, split, axis.held_out if held_out else axis.train, drawn[name]))
    return out


def _covered(name: str, split: str, distribution: Distribution, values: list[Any]) -> Covered:
    if not isinstance(values[0], (int, float, np.ndarray)) or isinstance(distribution, Choice):
        seen, known = sorted({_text(v) for v in values}), {_text(v) for v in _choices(distribution)}
        share = len(known & set(seen)) / len(known) if known else 0.0
        return Covered(name, split, share if split != "off" else 0.0, seen[0], seen[-1] if len(seen) > 1 else "")
    array = np.asarray(values, float).reshape(len(values), -1)
    share = 0.0 if split == "off" else _filled(array, _pieces(distribution))
    return Covered(name, split, share, _text(array.min(0)), _text(array.max(0)))


def _choices(distribution: Distribution) -> list[Any]:
    """Values that a distribution chooses among; none where it draws from ranges."""
    if isinstance(distribution, Either):
        return [value for part in distribution.pieces for value in _choices(part)]
    return list(distribution.values) if isinstance(distribution, Choice) else []


def _pieces(distribution: Distribution) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ranges (low, high) that a distribution draws from."""
    if isinstance(distribution, Either):
        return [piece for part in distribution.pieces for piece in _pieces(part)]
    if isinstance(distribution, Uniform):
        low, high = (np.atleast_1d(np.asarray(side, float)) for side in (distribution.low, distribution.high))
        return [(low, high)]
    return []


def _filled(array: np.ndarray, pieces: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Share of bins that hold a value, over all pieces, in the dimension where it is least."""
    if not pieces:
        return 0.0
    shares = []
    for k in range(array.shape[1]):
        filled = 0
        for low, high in pieces:
            edges = np.linspace(low[k], high[k], BINS + 1)
            filled += int((np.histogram(array[:, k], edges)[0] > 0).sum()) if high[k] > low[k] else BINS
        shares.append(filled / (BINS * len(pieces)))
    return min(shares)


def _text(value: Any) -> str:
    if isinstance(value, (float, np.ndarray)):
        return " ".join(f"{v:.3g}" for v in np.ravel(value))
    return str(value) or "plain"
