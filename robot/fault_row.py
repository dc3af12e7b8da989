"""What one row of the fault catalogue is, and how a function becomes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from robot.errors import ConfigError
from robot.interfaces import Clears, Response, Snapshot

Detector = Callable[[Snapshot], str | None]


@dataclass(frozen=True)
class Budget:
    """How often a recovery may be tried: `count` times within `within` s, then the response gets worse."""

    count: int
    within: float  # s


@dataclass(frozen=True)
class Fault:
    """One row of the catalogue."""

    name: str
    detect: Detector
    response: Response
    after: float  # s it must be seen on end
    clears: Clears
    lasts: float  # s it must be gone before it clears
    recover: str | None  # a name in robot.recovery.RECOVERIES
    budget: Budget
    group: str  # communication, power, thermal, mechanical, sensing or software

    @property
    def words(self) -> str:
        """For a person: what this is and why it matters."""
        return " ".join((self.detect.__doc__ or "").split())


CATALOGUE: dict[str, Fault] = {}


def fault(
    response: Response, after: float = 0.0, clears: Clears = Clears.WHEN_GONE, lasts: float = 0.2,
    recover: str | None = None, budget: Budget = Budget(3, 300.0), group: str = "software",
) -> Callable[[Detector], Detector]:
    """Enter the decorated function into the catalogue under its own name. Raises `ConfigError` when taken."""

    def enter(detect: Detector) -> Detector:
        name = detect.__name__
        if name in CATALOGUE:
            raise ConfigError(f"the fault {name!r} is in the catalogue twice")
        CATALOGUE[name] = Fault(name, detect, response, after, clears, lasts, recover, budget, group)
        return detect

    return enter
