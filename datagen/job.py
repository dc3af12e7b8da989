"""What a worker does for an episode number: attempts until one succeeds, then pictures, then bytes to send home."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from datagen import manifest, rollout, staging
from datagen.correct import Begin, Learner, Retraced, fresh
from datagen.episode import Episode, Schema
from robot import output, registry
from robot.errors import ConfigError, DataError
from sim.picture import Renderer
from sim.world import PERIOD, Tabletop

CODE = ("steadyhand", "pybullet", "numpy")  # whose versions decide what an episode is


@dataclass(frozen=True)
class Demonstrations:
    """A dataset's plan: its whole configuration, and the versions that its rows record."""

    config: Mapping[str, Any]
    versions: Mapping[str, str]

    def open(self) -> Demonstrator:
        """Raises `DataError` on a machine of other versions: its episodes would not be what their rows say."""
        here = output.versions()
        for name in CODE:
            if name in self.versions and here.get(name) != self.versions[name]:
                raise DataError(f"{platform.node()} has {name} {here.get(name)}, the run was begun with "
                                f"{self.versions[name]}; install the same there")
        return Demonstrator(self.config, self.versions)


class Demonstrator:
    """Worlds and experts of one worker, made when first needed."""

    def __init__(self, config: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        self.config, self.versions = config, versions
        self.hash = manifest.digest(config)
        self.mistakes = registry.assemble(config, "mistakes")
        self.tasks = tasks_of(config)
        self.renderer: Renderer = registry.assemble(config, "renderer")
        self._worlds: dict[str, Tabletop] = {}

    def make(self, number: int) -> dict[str, bytes]:
        """Episode `number`, packed."""
        row, episode = self.episode(number)
        schema = None
        if episode is not None:
            world = self.world(number)
            schema = Schema.of(episode, world.arm.spec.name, world.arm.spec.names, round(1 / PERIOD),
                               self.config["codec"], self.config["pixels"])
        return staging.pack(row, episode, schema)

    def episode(self, number: int) -> tuple[dict[str, Any], Episode | None]:
        """Row and raw episode of `number`; no episode when every attempt failed and failures are dropped."""
        world = self.world(number)
        expert = registry.assemble(self.config, "expert")
        seconds = self.config["seconds"] or world.task.seconds
        keep = self.config["failures"] == "keep"
        failed: list[str] = []
        for attempt in range(1 if keep else self.config["attempts"]):
            seed = manifest.seed_of(self.config["seed"], number, attempt)
            tried = rollout.plan(world, expert, self.mistakes, seed, seconds, self.begin)
            if tried.success or (keep and tried.poses):
                episode = rollout.draw(world, self.renderer, tried)
                return self._row(number, seed, failed, tried, episode.digest(), len(episode)), episode
            failed.append(tried.reason)
        return self._row(number, seed, failed, tried, "", 0), None

    def again(self, row: Mapping[str, Any], number: int) -> tuple[dict[str, Any], Episode | None]:
        """Episode `number` once more; one that began at a learner's failure needs no learner, only its row."""
        if "before" not in row:
            return self.episode(number)
        world = self.world(number)
        tried = rollout.plan(world, registry.assemble(self.config, "expert"), self.mistakes, row["seed"],
                             self.config["seconds"] or world.task.seconds, Retraced(row))
        episode = rollout.draw(world, self.renderer, tried)
        return self._row(number, row["seed"], row["failed"], tried, episode.digest(), len(episode)), episode

    @cached_property
    def begin(self) -> Begin:
        return Learner(self.config["learner"], self.config["model"]) if self.config.get("learner") else fresh

    def world(self, number: int) -> Tabletop:
        """The world of the task whose turn `number` is; it draws nothing by itself, unless a learner is to look."""
        name, node = self.tasks[number % len(self.tasks)]
        if name not in self._worlds:
            eyes = {"renderer": self.renderer} if self.config.get("learner") else {}
            self._worlds[name] = registry.assemble({**self.config, "task": node, "renderer": None}, "world", **eyes)
        return self._worlds[name]

    def _row(self, number: int, seed: int, failed: list[str], tried: rollout.Rollout, sha256: str,
             frames: int) -> dict[str, Any]:
        outcome = "success" if tried.success else f"failure: {tried.reason}"
        return {
            "seed": seed, "attempts": len(failed) + (1 if frames else 0), "failed": failed, "outcome": outcome,
            "frames": frames, "mistakes": list(tried.mistakes), "knocks": tried.knocks,
            "task": self.tasks[number % len(self.tasks)][0],
            "instruction": tried.instruction, "sha256": sha256, "config": self.hash,
            "renderer": self.renderer.name, "versions": dict(self.versions),
        } | ({"learner": tried.start.learner, "before": tried.start.actions} if tried.start.learner else {})


def tasks_of(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Name and node of each task that takes turns. Raises `ConfigError` on an unknown one."""
    node = config["task"]
    if not config.get("tasks"):
        return [(node if isinstance(node, str) else node[registry.OPTION_KEY], node)]
    for name in config["tasks"]:
        registry.get("task", name)
    if len(set(config["tasks"])) != len(config["tasks"]):
        raise ConfigError(f"tasks={config['tasks']} names one twice; its share cannot be raised so")
    return [(name, name) for name in config["tasks"]]
