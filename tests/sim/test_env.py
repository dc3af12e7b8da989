"""Gymnasium: found by name alone, clean under its checker, the same everywhere, and in vectors."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from robot import registry
from robot.errors import ConfigError
from sim.env import TaskEnv
from sim.registration import env_id, tasks

SMALL = {"renderer": "tiny", "size": 24}
FRESH = """
import hashlib, gymnasium, sys
assert not any(m.startswith("sim.tasks") or m == "pybullet" for m in sys.modules)
env = gymnasium.make("steadyhand/PickPlace-v0", arm="so101", renderer=sys.argv[1], size=24)
seen, _ = env.reset(seed=5)
digest = hashlib.sha256()
env.action_space.seed(1)
for _ in range(3):
    for key in sorted(seen):
        digest.update(seen[key].tobytes())
    seen = env.step(env.action_space.sample())[0]
print(digest.hexdigest())
"""


@pytest.fixture
def env():
    made = gymnasium.make(env_id("pick_place"), arm="so101", **SMALL)
    yield made
    made.close()


def test_every_task_is_registered():
    assert tasks() == sorted(registry.load("task"))
    assert {env_id(task) for task in tasks()} <= set(gymnasium.registry)


def test_the_checker_is_content(env):
    check_env(env.unwrapped)


@pytest.mark.parametrize("renderer", ["tiny", "gl"])
def test_other_processes_see_the_same_bytes_without_importing_us(renderer):
    told = {subprocess.run([sys.executable, "-W", "error", "-c", FRESH, renderer], capture_output=True, text=True,
                           check=True, timeout=120, env={"PYTHONHASHSEED": seed}).stdout.strip() for seed in ("1", "2")}
    env = gymnasium.make(env_id("pick_place"), arm="so101", renderer=renderer, size=24)
    env.reset(seed=1)  # what was drawn before has no say
    seen, digest = env.reset(seed=5)[0], hashlib.sha256()
    env.action_space.seed(1)
    for _ in range(3):
        for key in sorted(seen):
            digest.update(seen[key].tobytes())
        seen = env.step(env.action_space.sample())[0]
    env.close()
    assert told == {digest.hexdigest()}


def test_restore_is_exact(env):
    env.reset(seed=3)
    world = env.unwrapped.world
    env.step(env.action_space.sample())
    moment, action = world.snapshot(), env.action_space.sample()

    def play() -> list[bytes]:
        return [env.step(action)[0][key].tobytes() for _ in range(3) for key in ("state", "front", "wrist")]

    first = play()
    world.restore(moment)
    assert play() == first


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vectors_agree_with_one(env, mode):
    many = gymnasium.make_vec(env_id("pick_place"), num_envs=2, vectorization_mode=mode, arm="so101", **SMALL)
    seen, info = many.reset(seed=[8, 9])
    assert seen["front"].shape == (2, 24, 24, 3) and len(info["instruction"]) == 2
    assert np.array_equal(env.reset(seed=9)[0]["front"], seen["front"][1])
    action = np.zeros_like(many.action_space.sample())
    assert np.array_equal(env.step(action[1])[0]["state"], many.step(action)[0]["state"][1])
    many.close()


def test_success_ends_the_episode_with_the_bonus(env):
    env.reset(seed=6)
    world = env.unwrapped.world
    world.scene.place("cube 0", world.goals[0].place(world.scene))
    still = env.unwrapped.normalise(world.arm.spec.home)
    _, reward, done, cut, info = env.step(still)
    assert done and not cut and info["is_success"] and reward > 1.0


def test_time_runs_out():
    env = TaskEnv("reach", seconds=0.3, **SMALL)
    env.reset(seed=1)
    still = env.normalise(env.world.arm.spec.home)
    assert [env.step(still)[3] for _ in range(3)] == [False, False, True]
    env.close()


def test_what_is_not_there_is_refused(env):
    env.reset(seed=1)
    with pytest.raises(ValueError, match="6 finite numbers"):
        env.step(np.full(6, np.nan))
    with pytest.raises(ConfigError, match="radians"):
        TaskEnv(action="torque")
