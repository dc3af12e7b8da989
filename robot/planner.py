"""From chunks to one smooth target: what keeps inference time and chunk borders out of the servos."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from robot.interfaces import Array, Chunk, Clock, Observation, Policy


class Planner(Protocol):
    """Where chunks come from: asked now, answered when ready."""

    def reset(self, instruction: str) -> None: ...
    def request(self, obs: Observation) -> bool:
        """Ask for a chunk from `obs`; False when the last request is still being worked on."""
        ...

    def poll(self) -> Chunk | None:
        """The newest chunk that arrived since the last call."""
        ...

    def restart(self) -> None:
        """Begin anew after a failure, with the same instruction."""

    @property
    def ready(self) -> bool:
        """Whether requests are answered, not while a policy is still being loaded."""
        ...

    @property
    def spare(self) -> tuple[str, ...]:
        """Cameras that the policy was trained to do without."""
        ...


class InlinePlanner:
    """A policy in this process, for simulation and evaluation.

    With `latency` (s) an answer appears that much later on `clock`, as inference on hardware does.
    """

    def __init__(self, policy: Policy, clock: Clock | None = None, latency: float = 0.0) -> None:
        self.policy, self.clock, self.latency = policy, clock, latency
        self._instruction = ""
        self._ready: deque[tuple[float, Chunk]] = deque()

    def reset(self, instruction: str) -> None:
        self._instruction = instruction
        self._ready.clear()
        self.policy.reset(instruction)

    def restart(self) -> None:
        self.reset(self._instruction)

    @property
    def ready(self) -> bool:
        return True

    @property
    def spare(self) -> tuple[str, ...]:
        return tuple(getattr(self.policy, "spare", ()))

    def request(self, obs: Observation) -> bool:
        if self._ready:
            return False
        due = (self.clock.now() if self.clock else obs.stamp) + self.latency
        self._ready.append((due, self.policy.act(obs)))
        return True

    def poll(self) -> Chunk | None:
        if not self._ready or (self.clock is not None and self.clock.now() < self._ready[0][0]):
            return None
        return self._ready.popleft()[1]


@dataclass(frozen=True)
class _Curve:
    """A chunk as a line through its rows, blended over from what came before it."""

    times: Array  # (K,) s, rising
    rows: Array  # (K, J) rad
    since: float  # s, when the blend began
    blend: float  # s
    before: _Curve | None = None

    def at(self, t: float) -> Array:
        own = self._line(t)
        if self.before is None or t >= self.since + self.blend:
            return own
        x = max(0.0, t - self.since) / self.blend
        weight = x * x * (3.0 - 2.0 * x)
        out: Array = (1.0 - weight) * self.before.at(t) + weight * own
        return out

    def alone(self, now: float) -> _Curve:
        """The same from `now` on, without what came before and is blended out: chunks must not pile up."""
        if self.before is None:
            return self
        before = None if now >= self.since + self.blend else self.before.alone(now)
        return _Curve(self.times, self.rows, self.since, self.blend, before)

    def _row(self, k: int) -> Array:
        out: Array = self.rows[k]
        return out

    def _line(self, t: float) -> Array:
        k = int(self.times.searchsorted(t))
        if k == 0:
            return self._row(0)
        if k == len(self.times):
            return self._row(-1)
        f = (t - self.times[k - 1]) / (self.times[k] - self.times[k - 1])
        out: Array = self.rows[k - 1] + f * (self.rows[k] - self.rows[k - 1])
        return out


LAG = 0.15  # rad, by which the arm may be behind its schedule; a new chunk then starts from where it is


class Schedule:
    """The target at any instant, from the chunks pushed so far.

    Row k of a chunk is due at `t0 + k dt`; between rows the target moves in a straight line (first-order
    hold). Rows that were due before the chunk arrived are dropped. A new chunk takes over within `blend` s.
    When the last row is `patience` s past there is no target any more, and the arm must come to a hold.
    """

    def __init__(self, blend: float = 0.2, patience: float = 0.3) -> None:
        self.blend, self.patience = blend, patience
        self.arrived = -np.inf  # s, of the newest usable chunk
        self.dropped = 0  # rows that came too late
        self._curve: _Curve | None = None

    def clear(self) -> None:
        """Forget every chunk."""
        self._curve, self.arrived = None, -np.inf

    def push(self, chunk: Chunk, now: float, goal: Array) -> bool:
        """Take over `chunk` at `now` (s) from `goal` (J,) rad; False when all of its rows are past."""
        times: Array = chunk.t0 + chunk.dt * np.arange(len(chunk.q), dtype=np.float64)
        rows = np.asarray(chunk.q, dtype=np.float64)
        first = int(np.searchsorted(times, now, side="right"))
        self.dropped += first
        if first == len(times):
            return False
        old = self._curve if self._curve is not None and now <= self._curve.times[-1] else None
        if old is not None and np.abs(old.at(now) - goal).max() > LAG:
            old = None
        if first:  # start on the line between the last dropped row and the first kept one
            times, rows = times[first - 1 :], rows[first - 1 :]
        else:
            start = goal if old is None else old.at(now)
            times, rows = np.concatenate([[now], times]), np.concatenate([start[None], rows])
        if old is None:
            old = _Curve(np.array([now]), np.array(goal)[None], now, self.blend)
        else:
            old = old.alone(now)
        self._curve = _Curve(times, rows, now, self.blend, old)
        self.arrived = now
        return True

    def target(self, now: float) -> Array | None:
        """(J,) rad at `now` (s); None when there is nothing fresh enough to follow."""
        if self._curve is None or now > self._curve.times[-1] + self.patience:
            return None
        return self._curve.at(now)
