"""The only source of time. Whatever waits on a `Clock` runs unchanged in virtual time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from robot.interfaces import Clock


class WallClock:
    """Real, monotonic seconds; `wait` sleeps."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, until: float) -> None:
        """Sleep until `until` (s, this clock); returns at once when that is past."""
        delay = until - time.monotonic()
        if delay > 0:
            time.sleep(delay)


class SimClock:
    """Virtual seconds. Waiting is what advances it: `advance(t)` is called to bring the world to time `t`."""

    def __init__(self, advance: Callable[[float], None] | None = None, start: float = 0.0) -> None:
        self._now = start
        self._advance = advance

    def now(self) -> float:
        return self._now

    def wait(self, until: float) -> None:
        """Advance the world to `until` (s); a time in the past changes nothing."""
        if until > self._now:
            if self._advance is not None:
                self._advance(until)
            self._now = until

    def restart(self, at: float = 0.0) -> None:
        """Set the time without advancing the world, as a scene reset does."""
        self._now = at


@dataclass(frozen=True)
class Tick:
    """One period of a loop: its number, its due time and how late it began (s).

    `late` counts from when the period after the last one was due, so that a cycle that took long shows in it.
    """

    index: int
    due: float
    late: float


def ticks(clock: Clock, hz: float) -> Iterator[Tick]:
    """Yield once a period, for ever; periods that were missed are skipped and show in `index` and `late`."""
    period, start, index, expected = 1.0 / hz, clock.now(), 0, 0
    while True:
        due = start + index * period
        clock.wait(due)
        yield Tick(index, due, clock.now() - start - expected * period)
        expected = index + 1
        index = max(expected, int((clock.now() - start) / period + 1e-9))
