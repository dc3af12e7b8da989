"""The policy's process in virtual time: a checkpoint or an expert says what to do, and can die, hang and babble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from robot.errors import SteadyhandError
from robot.injection import Kind
from robot.interfaces import Array, Chunk, Clock, Observation, Policy
from robot.planner import InlinePlanner

PERIOD = 0.1  # s, for which an expert plans at a time
START = 2.0  # s until a policy that was started anew is loaded
ROWS = 2  # of a chunk; the last one is the next one's start
PAUSE = 0.5  # s without a request, after which an expert begins anew
WILD = 2.0  # rad, by which a wild policy misses


class Expert(Protocol):
    """What brings a task about in a simulated world; found by name in the registry's group `expert`."""

    def reset(self, world: Any) -> None: ...
    def act(self) -> Array:
        """(J,) rad, the joint target for the end of the coming 0.1 s."""
        ...


class Scripted:
    """An expert as a `Policy`: it looks at the world instead of at pictures."""

    def __init__(self, world: Any, expert: Expert) -> None:
        self.world, self.expert = world, expert
        self._asked = -np.inf  # s, of the last request

    def reset(self, instruction: str) -> None:
        self.expert.reset(self.world)

    def act(self, obs: Observation) -> Chunk:
        """Raises `SceneError` for what it cannot do."""
        if obs.stamp - self._asked > PAUSE:
            self.expert.reset(self.world)  # the arm was held or moved meanwhile: plan from where it is
        self._asked = obs.stamp
        return Chunk(obs.stamp + PERIOD, PERIOD, np.tile(self.expert.act(), (ROWS, 1)))


class LabPlanner(InlinePlanner):
    """A policy whose answers come `latency` s after the request, and that breaks as the process of a policy breaks.

    `ail(kinds)` says how; only `restart` mends what does not pass.
    """

    def __init__(self, policy: Policy, clock: Clock, latency: float) -> None:
        super().__init__(policy, clock, latency)
        self.slow = 0.0  # s, by which answers are later still
        self._now = clock.now
        self._sick: set[Kind] = set()
        self._error = ""
        self._from = -np.inf  # s, when it is loaded

    def reset(self, instruction: str) -> None:
        super().reset(instruction)
        self._error = ""

    def restart(self) -> None:
        """A fresh process with the same instruction, loaded some seconds later."""
        self._sick.clear()
        super().restart()
        self._from = self._now() + START

    @property
    def ready(self) -> bool:
        return Kind.OFF not in self._sick and self._now() >= self._from

    def request(self, obs: Observation) -> bool:
        if not self.ready or Kind.STUCK in self._sick:
            return False
        try:
            if not super().request(obs):
                return False
        except SteadyhandError as error:
            self._error = str(error)
            return False
        due, chunk = self._ready[-1]
        if Kind.GARBAGE in self._sick:
            chunk = replace(chunk, q=np.full_like(chunk.q, np.nan))
        elif Kind.WRONG in self._sick:
            chunk = replace(chunk, q=chunk.q + WILD)
        self._ready[-1] = due + self.slow, chunk
        return True

    def poll(self) -> Chunk | None:
        return super().poll() if self.ready else None

    # ------------------------------------------------------------ what ails it
    def ail(self, kinds: Mapping[Kind, float]) -> None:
        """The faults that began now, by kind."""
        self._sick |= kinds.keys() - {Kind.SLOW}
        if Kind.OFF in kinds:
            self._ready.clear()

    def notes(self) -> tuple[str, ...]:
        """What the fault catalogue should know of it."""
        if Kind.OFF in self._sick:
            return ("dead_policy: the policy process ended with status -9",)
        return (f"broken_policy: {self._error}",) if self._error else ()
