"""A deployment in virtual time: the same day from the same seed, and faults of processes as of real ones."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from hardware.campaign_trial import Blow, Watcher, trial
from hardware.heartbeat import Word
from hardware.lab import Lab, Workshop
from hardware.lab_planner import LabPlanner
from robot import config
from robot.clock import SimClock
from robot.errors import ConfigError
from robot.injection import Kind
from robot.interfaces import Chunk, Mode, Observation, Response, Verdict


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    logging.getLogger("hardware").setLevel(logging.CRITICAL)
    yield Workshop.of(config.resolve("campaign"), tmp_path_factory.mktemp("lab"))
    logging.getLogger("hardware").setLevel(logging.NOTSET)


def test_the_expert_does_its_job_through_virtual_servos(shop):
    lab = Lab(shop, 1, 1)
    assert all(c.ok for c in lab.checks) and len(lab.checks) > 20
    assert not any(lab.rig.energised) and lab.words[Word.ARMED] == 0  # nothing has torque before the checks
    result = lab.run(20.0, lab.world.success)
    assert result.outcome == "done" and not result.faults
    assert not lab.monitor.peaks.over(lab.monitor.limits) and lab.monitor.energy > 1.0
    lab.park()
    assert lab.agent.behaviour.mode is Mode.LIMP and not any(lab.rig.energised)
    assert np.allclose(lab.rig.state.q, lab.guard.spec.park, atol=0.1)
    assert lab.begin(2) and lab.world.seed == 2


def test_a_checkpoint_works_in_the_experts_place(shop, tmp_path):
    settings = config.resolve("campaign", ["checkpoint=pick_place", "randomization=none"])
    made = Workshop.of(settings, tmp_path)
    lab = Lab(made, 1, 1000)
    result = lab.run(4.0, lambda: False)
    assert result.outcome == "timeout" and not result.faults and np.isfinite(result.latency)
    assert np.abs(lab.rig.state.q - lab.guard.spec.home).max() > 0.2  # it went to work
    lab.park()


def test_what_is_shown_first_is_shown_to_an_arm_at_work(tmp_path):
    """The limp arm sags, and then it goes home: neither counts as moving during the show."""
    lab = Lab(Workshop.of(config.resolve("campaign", ["task=cue_then_act"]), tmp_path), 1, 5)
    result = lab.run(20.0, lab.world.success, home=True)
    assert result.outcome == "done" and lab.world.scene.facts["over"] and "wrong" not in lab.world.scene.facts


class Still:
    """A policy that stays where it is; `spare` cameras, and what it was told."""

    spare = ("wrist",)

    def __init__(self):
        self.told = []

    def reset(self, instruction):
        self.told.append(instruction)

    def act(self, obs):
        return Chunk(obs.stamp, 0.1, np.tile(obs.state.q, (3, 1)))


def test_a_policy_in_virtual_time_answers_late_breaks_and_is_started_anew():
    clock, policy = SimClock(), Still()
    planner, state = LabPlanner(policy, clock, 0.03), SimpleNamespace(q=np.zeros(2))
    planner.reset("push it")

    def ask():
        assert planner.request(Observation(clock.now(), state, {}))
        assert not planner.request(Observation(clock.now(), state, {}))  # one at a time
        assert planner.poll() is None
        clock.wait(clock.now() + 0.03)
        return planner.poll().q

    assert planner.spare == ("wrist",) and ask().shape == (3, 2)
    planner.ail({Kind.GARBAGE: 0.0})
    assert np.isnan(ask()).all()
    planner.restart()
    assert not planner.ready and policy.told == ["push it", "push it"]
    clock.wait(clock.now() + 2.0)
    planner.ail({Kind.WRONG: 0.0})
    assert (ask() == 2.0).all()
    planner.ail({Kind.OFF: 0.0})
    assert not planner.request(Observation(clock.now(), state, {})) and "dead_policy" in planner.notes()[0]


def test_a_killed_loop_is_stopped_and_parked_by_the_watchdog(shop):
    made = trial(shop, "row", ("loop_killed",), 0, 3)
    assert made.outcome == "rescued" and not made.over
    assert made.blows[0].by == "watchdog" and made.still_within < 0.5


def test_the_same_seed_is_the_same_run(shop):
    first, again = (trial(shop, "row", ("policy_nan",), 0, 5).to_json() for _ in range(2))
    assert first == again
    assert first["outcome"] == "done" and first["success"]
    assert first["blows"][0]["by"] == "non_finite_action"


def test_what_is_noticed_while_it_shows_counts_from_when_it_began_to_show():
    clock = SimClock()
    lab = SimpleNamespace(clock=clock, verdict=Verdict(Response.HOLD, ("stalled",), {"stalled": "pushes"}, False))
    blow, early = Blow("motor_stuck", "motor 2 stuck", 0.5), Blow("motor_stuck", "motor 2 stuck", 0.5)
    watcher = Watcher(lab, [blow, early], [1, 1])
    watcher._since[0] = 1.0
    clock.wait(1.3)
    watcher._note(0, blow, watcher.now)
    watcher._note(1, early, watcher.now)
    assert (blow.exposed, blow.noticed, blow.by) == (1.0, 1.3, "stalled")
    assert early.exposed == early.noticed == 1.3  # before it showed at all


def test_what_cannot_be_broken_is_refused(shop):
    lab = Lab(shop, 1, 1)
    with pytest.raises(ConfigError, match="there is no component"):
        lab.inject("gearbox off")
    with pytest.raises(ConfigError, match="it can be"):
        lab.inject("watchdog slow")


def test_joints_alone_have_no_job(tmp_path):
    with pytest.raises(ConfigError, match="plant=bullet"):
        Workshop.of({**config.resolve("campaign"), "plant": "joints"}, tmp_path)
