"""Rollouts now and then while a policy trains: whether it can do the job yet, not only how far off its chunks are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from policies.rollout import rollout
from robot import registry
from robot.errors import ConfigError
from robot.interfaces import Policy, World

# Scenes that neither demonstrations (from 2**61), evaluation (from 1e9) nor deployment (from 2e9) draw.
FIRST_SEED = 500_000_000


class Practice:
    """`config["rollouts"]` episodes of the tasks in `config`, in scenes as the demonstrations', the same every time."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Raises `ConfigError` for a task that does not exist; worlds are made when first needed."""
        if config["rollouts"] < 1:
            raise ConfigError(f"rollouts={config['rollouts']} must be at least 1")
        for name in config["tasks"]:
            registry.get("task", name)
        self.config = config
        self.tasks: list[Any] = list(config["tasks"]) or [config["task"]]
        self._worlds: dict[int, World] = {}

    def measure(self, policy: Policy) -> dict[str, float]:
        """Shares of the episodes: `rollout_success`, and the mean `rollout_progress`."""
        outcomes = []
        for k in range(self.config["rollouts"]):
            world = self._world(k % len(self.tasks))
            seconds = getattr(getattr(world, "task", None), "seconds", 20.0)
            outcomes.append(rollout(world, policy, k, FIRST_SEED + k, seconds)[0])
        return {"rollout_success": float(np.mean([o.success for o in outcomes])),
                "rollout_progress": float(np.mean([o.progress for o in outcomes]))}

    def _world(self, turn: int) -> World:
        if turn not in self._worlds:
            self._worlds[turn] = registry.assemble({**self.config, "task": self.tasks[turn]}, "world")
        return self._worlds[turn]
