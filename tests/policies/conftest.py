"""A world small enough to learn in seconds: two coloured squares on a grey table, a named one to be reached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from policies.data import TrainingData
from policies.mixture import mix
from robot.arms.so101 import so101

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220)}
JOINTS = tuple(f"{name}.pos" for name in so101().names)
SIZE, LETTERS = 32, 12


def make_toy(episodes: int = 12, length: int = 20, seed: int = 0, robot: str = "so101",
             letters_of_a_name: int = LETTERS) -> TrainingData:
    """`episodes` of reaching the named square; joints follow its place linearly, two cameras see it.

    Another `robot` than the SO-101 has a camera of other figures, half a metre above its squares.
    """
    slot = letters_of_a_name
    rng = np.random.default_rng(seed)
    n = episodes * length
    columns = {"target_xyz": np.zeros((n, 3)), "goal_xyz": np.zeros((n, 3)), "yaw": np.zeros((n, 2)),
               "held": np.zeros((n, 1)), "phase": np.zeros((n, 1)), "progress": np.zeros((n, 1)),
               "success": np.zeros((n, 1))}
    columns["things_words"] = np.zeros((n, 2 * slot))
    for camera in ("front", "wrist"):
        columns[f"things_px.{camera}"] = np.zeros((n, 6))
        for thing in ("target", "goal", "tool"):
            columns[f"{thing}_px.{camera}"] = np.zeros((n, 3))
    images = {c: np.full((n, SIZE, SIZE, 3), 120, np.uint8) for c in ("front", "wrist")}
    state, action = np.zeros((n, 6)), np.zeros((n, 6))
    instructions = []
    for e in range(episodes):
        names = rng.permutation(list(COLOURS))[:2]
        spots = rng.uniform(0.2, 0.8, (2, 2))
        letters = np.zeros((2, slot))
        for i, name in enumerate(names):
            codes = list(f"{name} block".encode())
            letters[i, : len(codes)] = codes
        instructions.append(f"put the {names[0]} block on the pad")
        places = [(0.4 * x, 0.4 * y - 0.2, 0.02) for x, y in spots]
        if robot != "so101":
            deep = rng.uniform(0.4, 0.5, 2)
            places = [(0.2 + (x - 0.5) * d, (y - 0.5) * d, 0.5 - d) for (x, y), d in zip(spots, deep)]
        end = np.array([spots[0, 0] - 0.5, spots[0, 1] - 0.5, 0.5, 1.0, 0.0, 1.0])
        begin = rng.uniform(-0.3, 0.3, 6)
        for t in range(length):
            k = e * length + t
            state[k] = begin + (end - begin) * t / length
            action[k] = begin + (end - begin) * (t + 1) / length
            columns["phase"][k], columns["progress"][k] = t // (length // 2), t / length
            columns["success"][k] = t == length - 1
            columns["things_words"][k] = letters.reshape(-1)
            for i, thing in enumerate(("target", "goal")):
                for camera in images:
                    columns[f"things_px.{camera}"][k, 3 * i : 3 * i + 3] = (*spots[i], 1.0)
                columns[f"{thing}_xyz"][k] = places[i]
                for camera in images:
                    columns[f"{thing}_px.{camera}"][k] = (*spots[i], 1.0)
                    x, y = (spots[i] * SIZE).astype(int)
                    images[camera][k, y - 2 : y + 3, x - 2 : x + 3] = COLOURS[names[i]]
    start = np.arange(episodes) * length
    return TrainingData(
        path=Path("toy"), images=images, state=state.astype(np.float32), effort=np.zeros((n, 6), np.float32),
        action=action.astype(np.float32), aux={k: v.astype(np.float32) for k, v in columns.items()},
        episode=np.repeat(np.arange(episodes), length), start=start, length=np.full(episodes, length),
        instructions=instructions, succeeded=np.ones(episodes, bool), fps=10.0, joint_names=JOINTS, hash=f"toy-{seed}",
        robots=[robot] * episodes)


@pytest.fixture
def toy() -> TrainingData:
    return make_toy()


@pytest.fixture
def both() -> TrainingData:
    """An SO-101's toy and a Koch's, one with longer names than the other."""
    return mix([make_toy(), make_toy(8, 15, 1, "koch", LETTERS + 3)])
