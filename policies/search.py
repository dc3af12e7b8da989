"""What a policy does that gets no further: like a hand that missed the hole, it feels about.

It sees what it saw and so would do what it did, in the same place, for ever.
"""

from __future__ import annotations

import math

WAIT = 3.0  # s without progress until it tries elsewhere
MORE = 0.02  # of the whole job, what counts as progress
PLACES = 9  # that are tried before it begins anew, where it sees things
GOLDEN = math.pi * (3.0 - math.sqrt(5.0))  # rad


class Search:
    """By how much things are taken to lie beside where they are seen: another way whenever nothing gets better.

    The k-th place is `step` sqrt(k) metres off, a golden angle on from the one before: they cover a disc evenly
    (H. Vogel, A better way to construct the sunflower head, Mathematical Biosciences 44, 1979).
    """

    def __init__(self, step: float) -> None:
        self.step = step
        self.aside = (0.0, 0.0)  # m, along x and y of the base
        self._tried, self._best, self._since = 0, -math.inf, math.inf

    def note(self, now: float, progress: float, success: float) -> None:
        """What the policy makes of it at `now` s: its progress in [0, 1], and how likely (0 to 1) the job is done."""
        if progress > self._best + MORE or success > 0.5:
            self._best, self._since = max(progress, self._best), now
        elif now - self._since > WAIT:
            self._tried = (self._tried + 1) % PLACES
            self._since = now
            off, angle = self.step * math.sqrt(self._tried), GOLDEN * self._tried
            self.aside = off * math.cos(angle), off * math.sin(angle)
