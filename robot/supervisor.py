"""Decides, from one cycle's facts, what the arm should do: pure, so any day can be replayed to the same verdict.

No clock and no I/O: time comes with the snapshot. What it remembers is only when each fault was first seen,
and which ones are latched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robot.errors import ConfigError
from robot.faults import CATALOGUE, Fault
from robot.interfaces import Clears, Response, Snapshot, Verdict


@dataclass
class _Memory:
    """What the supervisor knows of one fault."""

    since: float | None = None  # s, when it was first seen without a break
    seen: float = 0.0  # s, when it was last seen
    reason: str = ""
    latched: bool = False


class Supervisor:
    """Debounces and latches every fault of a catalogue; the worst one in force decides."""

    def __init__(self, faults: Iterable[Fault] | None = None) -> None:
        self.faults = tuple(CATALOGUE.values() if faults is None else faults)
        self._memory = {f.name: _Memory() for f in self.faults}
        self._rows = [(f, self._memory[f.name]) for f in self.faults]

    def update(self, snapshot: Snapshot) -> Verdict:
        """The verdict on one cycle. A fault is in force once seen for its `after` seconds on end."""
        active = [f for f, memory in self._rows if self._in_force(f, memory, snapshot)]
        active.sort(key=lambda f: -f.response)
        response = max((f.response for f in active), default=Response.NONE)
        reasons = {f.name: self._memory[f.name].reason for f in active}
        return Verdict(response, tuple(f.name for f in active), reasons, response < Response.HOLD)

    @staticmethod
    def _in_force(fault: Fault, m: _Memory, snapshot: Snapshot) -> bool:
        reason = fault.detect(snapshot)
        if reason is not None:
            m.since = snapshot.now if m.since is None else m.since
            m.seen, m.reason = snapshot.now, reason
            if snapshot.now - m.since >= fault.after:
                m.latched = True
        else:
            m.since = None
            if m.latched and fault.clears is Clears.WHEN_GONE and snapshot.now - m.seen >= fault.lasts:
                m.latched = False
        return m.latched

    def reset(self, names: Iterable[str]) -> tuple[str, ...]:
        """Let go of latched faults that are no longer seen; returns those that were let go.

        A fault that is still there, or that never clears, stays. Raises `ConfigError` for an unknown name.
        """
        freed = []
        for name in names:
            if name not in self._memory:
                raise ConfigError(f"there is no fault {name!r}; there are: {', '.join(self._memory)}")
            m = self._memory[name]
            fault = self.by_name(name)
            if m.latched and m.since is None and fault.clears is not Clears.NEVER:
                m.latched = False
                freed.append(name)
        return tuple(freed)

    def by_name(self, name: str) -> Fault:
        return next(f for f in self.faults if f.name == name)

    def seen(self, name: str) -> bool:
        """Whether `name` was detected in the last cycle, whether or not it is in force."""
        return self._memory[name].since is not None
