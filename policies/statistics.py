"""How sure a measured success rate is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from policies.rollout import Outcome

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


def paired(first: Sequence[bool], second: Sequence[bool], z: float = Z95) -> tuple[float, float, float]:
    """How much more often `first` succeeded than `second` in the same trials, and the 95 % interval of that.

    The interval counts half a trial more of each kind (A. Agresti, Y. Min, Statistics in Medicine 24, 2005).
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} outcomes are no pairs")
    lost = sum(a and not b for a, b in zip(first, second))
    won = sum(b and not a for a, b in zip(first, second))
    n = len(first) + 2
    middle = (lost - won) / n
    half = z * math.sqrt(lost + won + 1 - n * middle**2) / n
    return (lost - won) / len(first), max(-1.0, middle - half), min(1.0, middle + half)


def summarize(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What episodes came to: rates with their 95 % intervals, and times."""
    n, good = len(outcomes), sum(o.success for o in outcomes)
    wrong = sum(o.wrong_object for o in outcomes)
    times = [o.seconds for o in outcomes if o.success]
    return {
        "episodes": n, "successes": good, "success_rate": good / n, "interval": list(wilson(good, n)),
        "wrong_object_rate": wrong / n, "wrong_object_interval": list(wilson(wrong, n)),
        "mean_progress": float(np.mean([o.progress for o in outcomes])),
        "median_seconds": float(np.median(times)) if times else None,
        "latency_ms": float(np.median([o.latency_ms for o in outcomes])),
        "first_ms": float(np.max([o.first_ms for o in outcomes])),
    }
