"""One file a task: it states how the scene is built, what is asked and the goals; everything else follows."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from sim.goals import Goal
from sim.scene import Scene


@runtime_checkable
class Task(Protocol):
    """What a scene is for. `build` is called once a reset, then `instruction`, then `goals`, on the same object.

    A task may also have `tick(scene, time)`, called 30 times a simulated second, for what moves or is counted by
    itself; it keeps what it must remember in `scene.facts`.
    """

    seconds: float  # simulated time after which an attempt counts as failed
    twin: int  # set before `build`: which of the askable things is asked for, 0 the seed's own

    def build(self, scene: Scene, rng: np.random.Generator) -> None:
        """Put the things into a scene that holds an arm and a table. Raises `SceneError` when they do not fit."""

    def instruction(self, rng: np.random.Generator) -> str:
        """One phrasing of what is asked."""
        ...

    def goals(self, scene: Scene) -> list[Goal]:
        """What has to be brought about, in the order in which the expert does it."""
        ...
