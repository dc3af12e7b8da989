"""Statistics of an episode, and of a dataset as the sum of its episodes, in LeRobot's shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
STATS = ("min", "max", "mean", "std", "count", *QUANTILES)
EVERY = 8  # of how many pictures one is measured
Stats = dict[str, NDArray[np.float64]]


def of_column(values: NDArray[Any]) -> Stats:
    """Statistics (k,) over the rows of a column (T, k); `count` is (1,)."""
    values = np.asarray(values, np.float64)
    ranks = np.quantile(values, list(QUANTILES.values()), axis=0)
    return {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0),
            "count": np.array([len(values)]), **dict(zip(QUANTILES, ranks))}


def of_images(frames: NDArray[np.uint8], every: int = EVERY) -> Stats:
    """Per-channel statistics (3, 1, 1) in [0, 1] over every so many frames (T, H, W, 3); `count` is of frames."""
    taken = frames[::every]
    levels = np.arange(256) / 255.0
    out: dict[str, list[float]] = {name: [] for name in STATS if name != "count"}
    for channel in range(taken.shape[-1]):
        histogram = np.bincount(taken[..., channel].ravel(), minlength=256) / (taken.size / taken.shape[-1])
        present, below = np.flatnonzero(histogram), np.cumsum(histogram)
        mean = float(histogram @ levels)
        out["min"].append(levels[present[0]])
        out["max"].append(levels[present[-1]])
        out["mean"].append(mean)
        out["std"].append(float(np.sqrt(max(histogram @ (levels - mean) ** 2, 0.0))))
        for name, rank in QUANTILES.items():
            out[name].append(levels[min(int(np.searchsorted(below, rank - 1e-12)), 255)])
    shaped = {name: np.asarray(values).reshape(-1, 1, 1) for name, values in out.items()}
    return {**shaped, "count": np.array([len(taken)])}


class Total:
    """Statistics of a growing dataset in constant memory.

    Minimum, maximum, mean, deviation and count are exact; a quantile is the mean of the episodes' quantiles
    weighted by their counts, as LeRobot's own aggregation makes it.
    """

    def __init__(self) -> None:
        self.features: dict[str, Stats] = {}

    def add(self, episode: Mapping[str, Stats]) -> None:
        """Count one more episode's statistics."""
        for name, new in episode.items():
            old = self.features.get(name)
            self.features[name] = dict(new) if old is None else _merge(old, new)

    def as_json(self) -> dict[str, dict[str, Any]]:
        return {name: {k: stats[k].tolist() for k in STATS} for name, stats in self.features.items()}


def _merge(a: Stats, b: Stats) -> Stats:
    n, m = float(a["count"][0]), float(b["count"][0])
    total = n + m
    mean = (n * a["mean"] + m * b["mean"]) / total
    square = (n * (a["std"] ** 2 + (a["mean"] - mean) ** 2) + m * (b["std"] ** 2 + (b["mean"] - mean) ** 2)) / total
    out = {"min": np.minimum(a["min"], b["min"]), "max": np.maximum(a["max"], b["max"]), "mean": mean,
           "std": np.sqrt(square), "count": a["count"] + b["count"]}
    return out | {name: (n * a[name] + m * b[name]) / total for name in QUANTILES}
