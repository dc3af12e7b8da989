"""How sure a measured success rate is."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z95 = 1.959963984540054


def wilson(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927); (0, 1) without trials."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    p, n = successes / trials, trials
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def paired(first: Sequence[float], second: Sequence[float], z: float = Z95) -> tuple[float, float, float]:
    """Mean of `first - second`, measured in the same scenes, and its normal 95 % interval."""
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} outcomes are no pairs")
    gaps = [a - b for a, b in zip(first, second)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((g - mean) ** 2 for g in gaps) / max(len(gaps) - 1, 1) / len(gaps))
    return mean, mean - z * spread, mean + z * spread
