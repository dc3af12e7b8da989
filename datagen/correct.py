"""Learning from failures (DAgger by restore): a policy tries a scene, and from where it goes wrong the expert goes on.

What is recorded begins at the restored moment, so the states are the policy's own and the actions the expert's
(Ross et al. 2011, arXiv:1011.0686; the simulation's restore takes the place of a person who takes over).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from robot import registry
from robot.interfaces import Policy
from robot.planner import Schedule
from sim.world import PERIOD, Moment, Tabletop

REPLAN = 0.8  # s between two looks, as in evaluation
BEFORE, AFTER = 10, 20  # periods about the last time that it came closer, among which the moment is drawn


@dataclass(frozen=True)
class Start:
    """Where an attempt begins: the instruction, and what led from the scene's beginning to that moment."""

    instruction: str
    actions: list[list[float]] = field(default_factory=list)  # (T, J) rad, commanded before the recording
    learner: dict[str, Any] = field(default_factory=dict)  # for the manifest: whose failure it was, and how far it got


class Begin(Protocol):
    """Puts a world where an attempt begins; None when there is nothing to be shown in the scene of `seed`."""

    def __call__(self, world: Tabletop, seed: int, seconds: float) -> Start | None: ...


def fresh(world: Tabletop, seed: int, seconds: float) -> Start | None:
    """Attempts begin where scenes do."""
    return Start(world.reset(seed))


class Retraced:
    """Attempts begin where the commands of a manifest's row lead to: what an audit needs, without the policy."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row

    def __call__(self, world: Tabletop, seed: int, seconds: float) -> Start | None:
        start = Start(world.reset(seed), self.row.get("before", []), self.row.get("learner", {}))
        for action in start.actions[:-1]:
            world.step(np.asarray(action))
        if start.actions:
            _go_on(world, world.snapshot(), start.actions[-1])
        return start


class Learner:
    """Attempts begin where `checkpoint` fails; there is none in a scene that it masters."""

    def __init__(self, checkpoint: str, model: Mapping[str, Any] | str | None = None) -> None:
        """Raises `DataError` for a checkpoint that cannot be used, or not on the arm `model`."""
        self.policy: Policy = registry.build("loader", "checkpoint", path=checkpoint, model=model)
        self.name, self.sha256 = checkpoint, digest(checkpoint)

    def __call__(self, world: Tabletop, seed: int, seconds: float) -> Start | None:
        """The world at a moment about which the policy failed within `seconds`, drawn from the scene's own seed."""
        instruction, schedule = world.reset(seed), Schedule()
        self.policy.reset(instruction)
        moments: list[Moment] = []
        actions: list[list[float]] = []
        best, closest, look, sent = -1.0, 0, 0.0, world.arm.read().q
        for period in range(round(seconds / PERIOD)):
            now, progress = world.clock.now(), world.progress()
            if world.success():
                return None
            if progress > best + 1e-3:
                best, closest = progress, period
            moments.append(world.snapshot())
            if now >= look - 1e-9:
                schedule.push(self.policy.act(world.observe()), now, sent)
                look = now + REPLAN
            wanted = schedule.target(now + PERIOD)  # None: it says nothing any more, so the arm stays
            actions.append((sent if wanted is None else wanted).tolist())
            sent = world.step(np.asarray(actions[-1]))
        if world.success():
            return None
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(b"correction"),)))
        at = int(rng.integers(max(closest - BEFORE, 1), min(closest + AFTER, len(moments) - 1) + 1))
        _go_on(world, moments[at - 1], actions[at - 1])
        note = {"checkpoint": self.name, "sha256": self.sha256, "progress": round(best, 4), "period": at}
        return Start(instruction, actions[:at], note)


def _go_on(world: Tabletop, moment: Moment, action: list[float]) -> None:
    """Return to a moment and take the step after it: a motor's torque, which is of the last step, is not restored."""
    world.restore(moment)
    world.step(np.asarray(action))


def digest(checkpoint: str) -> str:
    """Hash of a checkpoint's files, 16 hex digits; of its name where it is no folder."""
    out = hashlib.sha256()
    folder = Path(checkpoint)
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        if file.suffix in (".json", ".safetensors") and file.is_file():
            out.update(file.name.encode())
            out.update(file.read_bytes())
    return out.hexdigest()[:16] if folder.is_dir() else hashlib.sha256(checkpoint.encode()).hexdigest()[:16]
