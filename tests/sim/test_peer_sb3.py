"""Stable-Baselines3's own checker, as errors: STEADYHAND_SB3 names a folder made by
`pip install --no-deps --target FOLDER stable-baselines3`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FOLDER = os.environ.get("STEADYHAND_SB3", "")
pytestmark = [pytest.mark.peer, pytest.mark.skipif(not FOLDER, reason="STEADYHAND_SB3 names no folder")]
CHECK = """
import sys
import gymnasium
from stable_baselines3.common.env_checker import check_env
env = gymnasium.make(sys.argv[1], arm="so101", renderer="tiny", size=40)
check_env(env.unwrapped)
env.close()
"""


@pytest.mark.parametrize("task", ["PickPlace", "Kitting", "ShellGame", "OpenDrawer"])
def test_the_checker_is_content(task):
    done = subprocess.run([sys.executable, "-W", "error", "-c", CHECK, f"steadyhand/{task}-v0"], capture_output=True,
                          text=True, check=False, timeout=300, env={**os.environ, "PYTHONPATH": FOLDER})
    assert done.returncode == 0, done.stderr[-2000:]
