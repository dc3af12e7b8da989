"""Values that may vary: a distribution stands where a constant was, sampled from one passed generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Distribution(Protocol):
    def sample(self, rng: np.random.Generator) -> Any: ...


@dataclass(frozen=True)
class Fixed:
    """Always the same value."""

    value: Any

    def sample(self, rng: np.random.Generator) -> Any:
        return self.value


@dataclass(frozen=True)
class Uniform:
    """Uniform between `low` and `high`, elementwise when they are tuples."""

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]

    def sample(self, rng: np.random.Generator) -> Any:
        value = rng.uniform(self.low, self.high)
        return float(value) if np.ndim(value) == 0 else value


@dataclass(frozen=True)
class Normal:
    """Gaussian, cut at `limit` standard deviations so that a range can be promised."""

    mean: float | tuple[float, ...]
    deviation: float | tuple[float, ...]
    limit: float = 2.5

    def sample(self, rng: np.random.Generator) -> Any:
        mean = np.asarray(self.mean, dtype=float)
        unit = np.clip(rng.standard_normal(mean.shape), -self.limit, self.limit)
        value = mean + unit * np.asarray(self.deviation)
        return float(value) if value.ndim == 0 else value


@dataclass(frozen=True)
class Choice:
    """One of `values`, each as likely."""

    values: Sequence[Any]

    def sample(self, rng: np.random.Generator) -> Any:
        return self.values[int(rng.integers(len(self.values)))]


@dataclass(frozen=True)
class Either:
    """A sample of one of several distributions: a range in pieces, such as a band on either side of the middle."""

    pieces: tuple[Distribution, ...]

    def sample(self, rng: np.random.Generator) -> Any:
        return self.pieces[int(rng.integers(len(self.pieces)))].sample(rng)
