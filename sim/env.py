"""A task as a Gymnasium environment: joint targets in, pictures and joint positions out, progress as reward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from robot import registry
from robot.errors import ConfigError
from robot.interfaces import Image, Observation
from sim.registration import register
from sim.world import PERIOD, Tabletop

ACTIONS = ("normalised", "radians")
BONUS = 1.0  # reward on success, beside the progress made
SLACK = 0.5  # rad beyond the joint limits that a reading may show, by play and sag
SHOWN = 256  # px, side of one camera in `render`


class TaskEnv(gymnasium.Env[dict[str, NDArray[Any]], NDArray[np.float32]]):
    """One task, arm and randomisation. A step is 0.1 s: 24 physics steps, then one picture of each camera.

    Observation: `state` (J,) rad, and a (size, size, 3) uint8 picture under each camera's name. The instruction is
    in `info`. Action (J,): joint targets for the end of the step, in [-1, 1] over each joint's range, or in rad.
    Reward: progress made in the step, and `BONUS` on success, which ends the episode.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / PERIOD)}  # noqa: RUF012  gymnasium's contract

    def __init__(self, task: str = "pick_place", arm: str | Mapping[str, Any] = "so101",
                 randomization: str | Mapping[str, Any] = "train", renderer: str = "auto", size: int = 128,
                 action: str = "normalised", seconds: float = 0.0, gui: bool = False,
                 render_mode: str | None = None) -> None:
        """`arm` and `randomization` are names, or names with settings: `{"_option_": "file", "table": "mine.yaml"}`.

        `seconds` of simulated time until truncation; 0 leaves it to the task. `gui` opens PyBullet's window.

        Raises `ConfigError` for a name that is not registered.
        """
        if action not in ACTIONS:
            raise ConfigError(f"there is no action {action!r}; choose one of: {', '.join(ACTIONS)}")
        self.render_mode = render_mode
        config = {"world": {"_option_": "tabletop", "size": size, "gui": gui}, "model": arm, "task": task,
                  "randomization": randomization, "renderer": renderer}
        self.world: Tabletop = registry.assemble(config, "world")
        spec = self.world.model.spec
        self._middle, self._half = (spec.upper + spec.lower) / 2, (spec.upper - spec.lower) / 2
        self._radians = action == "radians"
        low, high = (spec.lower, spec.upper) if self._radians else (-np.ones_like(spec.lower), np.ones_like(spec.upper))
        self.action_space = spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
        self._low, self._high = (spec.lower - SLACK).astype(np.float32), (spec.upper + SLACK).astype(np.float32)
        pictures = {name: spaces.Box(0, 255, (size, size, 3), np.uint8) for name in self.world.cameras}
        self.observation_space = spaces.Dict({"state": spaces.Box(self._low, self._high, dtype=np.float32), **pictures})
        self._limit = seconds or self.world.task.seconds
        self._progress = 0.0

    def reset(self, *, seed: int | None = None,
              options: dict[str, Any] | None = None) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Build the scene of `seed`, or of the next seed of this environment's own generator."""
        super().reset(seed=seed)
        self.world.reset(int(self.np_random.integers(2**31)) if seed is None else seed)
        self._progress = self.world.progress()
        return self._see(self.world.observe()), self._info(self.world.success())

    def step(self, action: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Move towards `action` for 0.1 s. Raises `ValueError` when it is not finite or of the wrong shape."""
        wanted = np.asarray(action, dtype=np.float64)
        if wanted.shape != self._middle.shape or not np.isfinite(wanted).all():
            raise ValueError(f"an action is {len(self._middle)} finite numbers, not {action}")
        self.world.step(wanted if self._radians else self._middle + self._half * np.minimum(np.maximum(wanted, -1), 1))
        before, self._progress = self._progress, self.world.progress()
        success = self._progress == 1.0  # exactly then, as every goal promises
        reward = self._progress - before + BONUS * success
        truncated = not success and self.world.clock.now() >= self._limit - PERIOD / 2
        return self._see(self.world.observe()), float(reward), success, truncated, self._info(success)

    def render(self) -> Image | None:  # type: ignore[override]
        """All cameras side by side, (256, 256 times cameras, 3), in mode `rgb_array`."""
        if self.render_mode != "rgb_array":
            return None
        return np.hstack(list(self.world.draw(self.world.poses(), SHOWN).values()))

    def close(self) -> None:
        self.world.close()

    def normalise(self, q: NDArray[np.float64]) -> NDArray[np.float32]:
        """The action that stands for joint targets `q` (J,) rad."""
        scaled = q if self._radians else (q - self._middle) / self._half
        return np.asarray(scaled, dtype=np.float32)

    def _see(self, seen: Observation) -> dict[str, NDArray[Any]]:
        state = np.minimum(np.maximum(seen.state.q.astype(np.float32), self._low), self._high)
        return {"state": state, **{name: frame.rgb for name, frame in seen.frames.items()}}

    def _info(self, success: bool) -> dict[str, Any]:
        return {"success": success, "is_success": success, "progress": self._progress,
                "instruction": self.world.instruction, "seed": self.world.seed, "time": self.world.clock.now()}


register()
