"""Values that may vary: a distribution stands where a constant was, sampled from one passed generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Distribution(Protocol):
    def sample(self, rng: np.random.Generator) -> Any: ...


@dataclass(frozen=True)
class Uniform:
    """Uniform between `low` and `high`, elementwise when they are tuples."""

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]

    def sample(self, rng: np.random.Generator) -> Any:
        value = rng.uniform(self.low, self.high)
        return float(value) if np.ndim(value) == 0 else value


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
