"""A policy process for tests: swings about home, no learning; run as the `command` of a `ProcessPlanner`."""

import os
import sys
import time
from pathlib import Path

import numpy as np

from hardware.policy_process import serve
from robot.arms.so101 import so101
from robot.interfaces import Chunk
from robot.registry import option


@option("loader", "waver")
class Waver:
    """Chunks of 12 rows of 0.1 s; the instruction may ask it to misbehave, and so may the file that `WAVER` names."""

    def __init__(self, path: str, size: float = 0.4) -> None:
        self.size, self.home, self.instruction = size, so101().spec.home, ""

    def reset(self, instruction: str) -> None:
        self.instruction = instruction

    def act(self, obs) -> Chunk:
        if "crash" in self.instruction:
            raise ValueError("crashed as asked")
        if "picture" in self.instruction:
            self.size = float(obs.frames["front"].rgb.mean()) / 255.0
        wrong = self._asked()
        if wrong == "slow":
            time.sleep(2.5)
        times = obs.stamp + 0.1 * np.arange(1, 13)
        swing = self.size * np.sin(3.0 * times)[:, None] * np.array([1.0, 0.4, 0.4, 0.4, 1.0, 0.3])
        return Chunk(times[0], 0.1, self.home + swing + {"nan": np.nan, "wild": 2.0}.get(wrong, 0.0))

    @staticmethod
    def _asked() -> str:
        """`nan`, `wild`, `slow` or nothing."""
        path = Path(os.environ.get("WAVER", os.devnull))
        return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    raise SystemExit(serve(sys.argv[1:]))
