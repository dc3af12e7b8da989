"""Before torque: the policy must answer to what this arm and these cameras show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware import preflight
from hardware.policy_process import ProcessPlanner
from robot import registry
from robot.agent import Agent
from robot.clock import SimClock
from robot.errors import ArmError, DataError
from robot.guard import Guard
from robot.interfaces import Chunk
from robot.planner import InlinePlanner
from robot.supervisor import Supervisor
from tests.robot.conftest import JointArm, Lens, Waver


def agent_with(policy):
    clock = SimClock()
    guard = Guard(JointArm(clock), clock)
    guard.open()
    return Agent(guard, {"front": Lens(clock)}, InlinePlanner(policy, clock), Supervisor(), clock, rate=100.0)


class Wrong(Waver):
    """Answers with `rows`."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def act(self, obs):
        return Chunk(obs.stamp, 0.1, self.rows)


def test_a_policy_that_answers_passes_and_nothing_moves():
    agent = agent_with(Waver())
    checks = preflight.inspect(agent)
    preflight.require(checks)
    assert checks[-1] == preflight.Check("policy", True)
    assert "engage" not in agent.arm.arm.calls and not agent.arm.arm.sent


@pytest.mark.parametrize("rows", [np.zeros((8, 5)), np.zeros(6), np.full((8, 6), np.nan)], ids=str)
def test_a_chunk_that_no_arm_can_follow_is_refused(rows):
    with pytest.raises(ArmError, match="rows of 6 joint targets"):
        preflight.require(preflight.inspect(agent_with(Wrong(rows))))


def test_a_policy_that_never_answers_is_refused():
    agent = agent_with(Waver())
    agent.planner.latency = 1e6
    with pytest.raises(ArmError, match="no answer in 20 s"):
        preflight.require(preflight.inspect(agent))


class Falling(JointArm):
    """A limp arm on its way down for `seconds`."""

    def __init__(self, clock, seconds):
        super().__init__(clock)
        self.until = clock.now() + seconds

    def read(self):
        falls = 2.0 if self.clock.now() < self.until else 0.0
        return replace(super().read(), dq=np.full(len(self.spec.names), falls))


class Swung(Lens):
    """Carried by the arm: its pictures change wildly while that falls."""

    def __init__(self, clock, until):
        super().__init__(clock)
        self.until = until

    def read(self, max_age):
        swings = self.clock.now() < self.until
        self.dark = swings and not self.dark
        frame = super().read(max_age)
        return replace(frame, rgb=np.full_like(frame.rgb, 255)) if swings and not self.dark else frame


@pytest.mark.parametrize("seconds, refused", [(0.0, False), (0.5, False), (1.5, False), (1.79, False), (9.0, True)])
def test_an_arm_that_falls_is_looked_at_again_when_it_lies(seconds, refused):
    clock = SimClock()
    arm = Falling(clock, seconds)
    agent = Agent(Guard(arm, clock), {"wrist": Swung(clock, seconds)}, InlinePlanner(Waver(), clock), Supervisor(),
                  clock, rate=100.0)
    failed = [c.name for c in preflight.inspect(agent) if not c.ok]
    assert failed == (["garbled_camera"] if refused else [])
    assert clock.now() < 4.0


def test_a_policy_process_says_what_it_misses(tmp_path):
    clock = SimClock()
    guard = Guard(JointArm(clock), clock)
    guard.open()
    planner = ProcessPlanner({registry.OPTION_KEY: "checkpoint", "path": f"{__name__}:Blind"}, tmp_path)
    try:
        planner.start()
        agent = Agent(guard, {}, planner, Supervisor(), planner.clock, rate=100.0, notes=planner.notes)
        guard.clock = planner.clock
        check = preflight._policy(agent)
    finally:
        planner.stop()
    assert not check.ok and "needs camera 'wrist'" in check.words


def test_a_checkpoint_of_another_arm_is_refused_before_anything_moves(tmp_path):
    planner = ProcessPlanner({registry.OPTION_KEY: "checkpoint", "path": "pick_place"}, tmp_path, model="koch")
    try:
        with pytest.raises(DataError, match="another arm than model=koch"):
            planner.start()
    finally:
        planner.stop()


class Blind(Waver):
    """Wants a camera that is not there."""

    def act(self, obs):
        from robot.errors import DataError

        raise DataError("the policy needs camera 'wrist'; there are: (none)")
