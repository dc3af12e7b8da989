"""Gymnasium's door to every task: `gymnasium.make("steadyhand/PickPlace-v0")`, with nothing of ours imported before.

Gymnasium up to 0.29 calls what the `gymnasium.envs` entry point names whenever it is imported; 1.0 stopped doing so,
which is why this project asks for 0.29. (Under 1.x, `gymnasium.make("sim.env:steadyhand/PickPlace-v0")` works.) The
tasks' names are read from their files and none of them is imported, so that importing gymnasium stays fast.
"""

from __future__ import annotations

import re
from pathlib import Path

from gymnasium.envs import registration

TASKS = Path(__file__).with_name("tasks")
DECLARED = re.compile(r'^@option\("task", "(\w+)"\)', re.MULTILINE)
NAMESPACE = "steadyhand"


def tasks() -> list[str]:
    """Names of all tasks that are declared in `sim/tasks`."""
    return sorted(name for path in TASKS.glob("*.py") for name in DECLARED.findall(path.read_text()))


def env_id(task: str) -> str:
    """`pick_place` becomes `steadyhand/PickPlace-v0`."""
    return f"{NAMESPACE}/{''.join(word.capitalize() for word in task.split('_'))}-v0"


def register() -> None:
    """Register every task, once."""
    for task in tasks():
        if env_id(task) not in registration.registry:
            registration.register(env_id(task), entry_point="sim.env:TaskEnv", kwargs={"task": task})
