"""How long to wait for a servo: a bound learned from answers, as TCP learns its time-outs (RFC 6298)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

UNKNOWN = 0.020  # s, before anything was measured: above an FTDI adapter's 16 ms latency timer
LONGEST = 0.025  # s
MARGIN = 0.0007  # s, for the operating system's own delays
DELAY = 0.0005  # s, a servo's return delay where it is not known


class Latency:
    """What answers take beyond their time on the wire, learned apart for each number of servos asked."""

    def __init__(self) -> None:
        self._mean: dict[int, float] = {}
        self._spread: dict[int, float] = {}
        self._scale = 1.0

    def learn(self, servos: int, overhead: float) -> None:
        """An exchange with `servos` answers took `overhead` s beyond its wire time."""
        self._scale = 1.0
        if servos not in self._mean:
            self._mean[servos], self._spread[servos] = overhead, overhead / 2
            return
        error = overhead - self._mean[servos]
        self._spread[servos] += (abs(error) - self._spread[servos]) / 4
        self._mean[servos] += error / 8

    def back_off(self) -> None:
        """Nobody answered: perhaps the bound was too tight."""
        self._scale = min(self._scale * 2, 16.0)

    def bound(self, servos: int) -> float:
        """Seconds beyond wire time after which `servos` answers will not come."""
        if servos in self._mean:
            return min((self._mean[servos] + 4 * self._spread[servos] + MARGIN) * self._scale, LONGEST)
        if self._mean:
            near = min(self._mean, key=lambda n: abs(n - servos))
            return min(self.bound(near) + max(0, servos - near) * DELAY, LONGEST)
        return min(UNKNOWN, LONGEST)


EDGES = 25e-6 * 2.0 ** np.arange(12)  # s, upper edges of the round-trip histogram; the last bin has none
PER_EDGE, LAST = 1 / float(EDGES[0]), 1 << len(EDGES)


@dataclass
class Counters:
    """What happened between the bus and one servo since it was opened."""

    sent: int = 0
    answered: int = 0
    timed_out: int = 0
    corrupt: int = 0
    duplicate: int = 0
    late: int = 0  # answers that came after their time and were dropped
    flagged: int = 0  # answers whose error byte was not 0
    round_trips: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))

    def took(self, seconds: float) -> None:
        """An answer came, `seconds` after its request's first byte."""
        self.answered += 1
        ticks = int(seconds * PER_EDGE)
        self.round_trips[ticks.bit_length() if ticks < LAST else -1] += 1

    def percentile(self, fraction: float) -> float:
        """Upper bound (s) of the round trip that `fraction` of the answers kept within; nan without any."""
        counts: NDArray[np.int64] = np.cumsum(self.round_trips)
        if not counts[-1]:
            return float("nan")
        bin_ = int(np.searchsorted(counts, fraction * counts[-1]))
        return float(EDGES[bin_]) if bin_ < len(EDGES) else float("inf")
