from dataclasses import replace

import numpy as np
import pytest

from robot.agent import Eyes
from robot.errors import ArmError, BusError
from robot.interfaces import Health, Mode
from robot.motion import RISE
from tests.robot.conftest import Lens


def during(agent, at, action):
    """Call `action` once, `at` seconds into the run."""
    fired = []

    def done():
        if agent.result.seconds >= at and not fired:
            fired.append(True)
            action()
        return False

    return done


def limits_of(arm):
    """The largest speed and acceleration, as a fraction of the allowed, in what was sent."""
    t = np.array([s[0] for s in arm.sent])
    q = np.array([s[1] for s in arm.sent])
    v = np.diff(q, axis=0) / np.diff(t)[:, None]
    a = np.diff(v, axis=0) / np.diff(t)[1:, None]
    return (np.abs(v) / arm.spec.speed).max(), (np.abs(a) / arm.spec.acceleration).max()


def test_follows_the_policy_and_tracks_it(agent, arm):
    result = agent.run("wave", 4.0)
    assert result.outcome == "timeout" and result.late == 0 and not result.faults
    assert [m for _, m in result.modes] == ["active"]
    t, q = arm.sent[-1]
    assert np.allclose(q, arm.spec.home + 0.3 * np.sin(t + 0.01), atol=0.02)
    speed, acceleration = limits_of(arm)
    assert speed <= 1.0 + 1e-9 and acceleration <= 1.0 + 1e-6


def test_ends_when_done(agent):
    result = agent.run("wave", 4.0, done=lambda: agent.result.seconds > 1.0)
    assert result.outcome == "done" and result.seconds == pytest.approx(1.0, abs=0.03)


def test_a_silent_servo_is_held_for_and_work_resumes(agent, arm):
    def silence():
        arm.silent[4] = True

    def heal():
        arm.silent[4] = False

    first, second = during(agent, 1.0, silence), during(agent, 1.5, heal)
    result = agent.run("wave", 6.0, done=lambda: first() or second())
    assert [f.name for f in result.faults] == ["lost_servo"]
    assert 1.1 <= result.faults[0].start <= 1.3
    assert "wrist_roll" in result.faults[0].reason
    assert [m for _, m in result.modes] == ["active", "hold", "recover", "hold", "active"]
    assert result.recoveries[0].recovery == "retry" and result.recoveries[0].succeeded
    assert max(limits_of(arm)) <= 1.0 + 1e-6


def test_a_servo_that_stays_silent_ends_in_park_then_limp(agent, arm):
    result = agent.run("wave", 60.0, done=during(agent, 1.0, lambda: arm.silent.__setitem__(4, True)))
    assert agent.behaviour.mode is Mode.LIMP and not arm.torque
    assert result.outcome in ("parked", "limp")
    assert sum(not r.succeeded for r in result.recoveries) == 3


def test_overload_is_relieved_and_needs_no_person(agent, arm):
    result = agent.run("wave", 6.0, done=during(agent, 1.0, lambda: arm.flags.__setitem__(1, int(Health.OVERLOAD))))
    assert "relieve 1" in arm.calls
    assert [f.name for f in result.faults] == ["overload"]
    assert result.modes[-1][1] == "active"


def test_goals_do_not_follow_an_encoder_that_jumps_about_and_the_arm_is_soon_down(agent, arm):
    result = agent.run("wave", 30.0, during(agent, 1.0, lambda: arm.noise.put(2, 0.5)))
    (jump,) = [f for f in result.faults if f.name == "encoder_jump"]
    assert result.outcome in ("parked", "limp") and not arm.torque
    goals = np.array([q[2] for t, q in arm.sent if jump.start + 0.3 < t])
    assert np.abs(np.diff(goals)).max() < 0.05  # rad a cycle: held, then parked, and nothing else
    assert agent.clock.now() - jump.start < 10.0  # nobody else could mend it


def test_non_finite_actions_never_reach_the_arm(agent, arm, waver):
    result = agent.run("wave", 5.0, done=during(agent, 1.0, lambda: setattr(waver, "bad", True)))
    assert [f.name for f in result.faults] == ["non_finite_action"]
    assert all(np.isfinite(q).all() for _, q in arm.sent)
    assert result.modes[-1][1] == "active"  # a restarted policy speaks sense again


def test_a_dead_camera_holds_the_arm_until_it_sees_again(agent, lens):
    first = during(agent, 1.0, lambda: setattr(lens, "dead", True))
    second = during(agent, 3.0, lambda: setattr(lens, "dead", False))
    result = agent.run("wave", 6.0, done=lambda: first() or second())
    assert [f.name for f in result.faults] == ["stale_camera"]
    assert result.modes[-1][1] == "active"


def test_a_hot_servo_parks_the_arm_and_work_resumes_when_cool(agent, arm):
    first = during(agent, 1.0, lambda: arm.temperature.__setitem__(1, 67.0))
    second = during(agent, 8.0, lambda: arm.temperature.__setitem__(1, 50.0))
    result = agent.run("wave", 25.0, done=lambda: first() or second())
    assert [m for _, m in result.modes][:3] == ["active", "park", "recover"]
    assert result.modes[-1][1] == "active"
    assert result.recoveries[0].recovery == "cool_down"


def test_refuses_to_begin_with_a_fault(agent, arm):
    arm.silent[2] = True
    arm.clock.wait(1.0)
    agent.check()
    arm.clock.wait(1.2)
    with pytest.raises(ArmError, match="elbow_flex"):
        agent.run("wave", 1.0)
    assert not arm.torque


def test_park_goes_to_the_parking_pose_and_lets_go(agent, arm):
    agent.run("wave", 1.0)
    agent.park()
    assert agent.behaviour.mode is Mode.LIMP and not arm.torque
    assert np.allclose(arm.q, arm.spec.park, atol=0.05)
    assert max(limits_of(arm)) <= 1.0 + 1e-6


class Unplugged:
    """Makes `arm.relax` raise for `seconds` from its first call on; it must be opened anew before it hears again."""

    def __init__(self, arm, seconds):
        self.arm, self.relax, self.seconds, self.since = arm, arm.relax, seconds, None
        arm.relax, arm.reopen, self.tries = self, self.reopen, 0
        self.open = False

    def reopen(self):
        self.tries += 1
        if self.arm.clock.now() - self.since < self.seconds:
            raise BusError("the port is gone")
        self.open = True

    def __call__(self):
        self.since = self.arm.clock.now() if self.since is None else self.since
        if not self.open:
            raise BusError("the port is gone")
        self.relax()


def test_an_arm_unplugged_as_it_lets_go_is_opened_again_until_it_hears(agent, arm):
    agent.run("wave", 1.0)
    cable = Unplugged(arm, 3.2)
    agent.park()
    assert agent.behaviour.mode is Mode.LIMP and not arm.torque
    assert cable.tries == 7 and arm.clock.now() - cable.since == pytest.approx(3.5, abs=0.05)
    assert arm.sent[-1][0] <= cable.since  # nothing is sent to an arm that was told to let go


def test_an_arm_that_stays_unplugged_is_given_up_in_one_line(agent, arm):
    agent.run("wave", 1.0)
    cable = Unplugged(arm, np.inf)
    with pytest.raises(ArmError, match="has torque, nothing reached it for 20 s: the port is gone; cut its power"):
        agent.park()
    assert arm.clock.now() - cable.since == pytest.approx(20.0, abs=0.05)
    arm.relax, arm.reopen = cable.relax, lambda: None
    assert agent.run("wave", 5.0).outcome == "timeout" and arm.torque  # plugged in again, it may work as ever


def test_a_watchdog_that_falls_silent_stops_the_arm_at_once_and_parks_it_later(agent, arm):
    silent = []
    agent.beat = lambda: arm.clock.now() - silent[0] if silent else 0.0
    result = agent.run("wave", 30.0, done=during(agent, 1.0, lambda: silent.append(arm.clock.now())))
    assert [f.name for f in result.faults] == ["quiet_watchdog", "lost_watchdog"] and result.outcome == "parked"
    held = next(t for t, mode in result.modes if mode == "hold")
    assert held == pytest.approx(1.15, abs=0.02)
    assert next(t for t, mode in result.modes if mode == "park") == pytest.approx(1.27, abs=0.03)


def test_a_watchdog_that_comes_back_costs_a_pause(agent, arm):
    silent = []
    agent.beat = lambda: arm.clock.now() - silent[0] if silent and arm.clock.now() - silent[0] < 0.17 else 0.0
    result = agent.run("wave", 5.0, done=during(agent, 1.0, lambda: silent.append(arm.clock.now())))
    assert [f.name for f in result.faults] == ["quiet_watchdog"] and result.modes[-1][1] == "active"


def test_stop_ends_a_run_by_parking(agent, arm):
    result = agent.run("wave", 30.0, done=during(agent, 1.0, agent.stop))
    assert result.outcome == "stopped" and not arm.torque


def test_the_same_run_twice_is_the_same(agent, arm):
    first = agent.run("wave", 2.0)
    assert first.ticks == pytest.approx(200, abs=1)


def test_an_answer_missing_as_work_would_go_on_only_delays_it(agent, arm, waver):
    """The reading with which goals are taken anew may be the damaged one."""
    reseed, failed = agent.arm.reseed, []

    def once():
        if not failed:
            failed.append(True)
            arm.silent[5] = True
            try:
                reseed()
            finally:
                arm.silent[5] = False
        else:
            reseed()

    agent.arm.reseed = once
    result = agent.run("wave", 6.0, done=during(agent, 1.0, lambda: setattr(waver, "bad", True)))
    assert failed and result.modes[-1][1] == "active" and result.outcome == "timeout"


@pytest.mark.parametrize("trouble", ["slow inference", "jumps between chunks", "a plan that ends"])
def test_nothing_upstream_reaches_the_servos_as_a_jerk(agent, arm, waver, clock, trouble):
    """The third difference of what is sent stays within the limit, whatever the policy does."""
    rng, calm = np.random.default_rng(1), waver.act
    waver.size = 0.1  # within the range: at its very end the guard brakes, harder
    if trouble == "slow inference":
        agent.planner.clock, agent.planner.latency = clock, 0.35

    def act(obs):
        chunk = calm(obs)
        if trouble == "jumps between chunks":
            return replace(chunk, q=chunk.q + rng.uniform(-0.05, 0.05, chunk.q.shape[1]))
        return replace(chunk, q=chunk.q[:3]) if trouble == "a plan that ends" else chunk

    waver.act = act
    agent.run("wave", 6.0)
    q = np.array([s[1] for s in arm.sent])
    assert len(q) > 400 and np.abs(np.diff(q, axis=0)).max() > 0.0005  # it moves
    jerk = np.abs(np.diff(q, 3, axis=0)).max(axis=0) / 0.01**3
    assert (jerk <= arm.spec.acceleration / RISE * 1.001).all()


@pytest.fixture
def two_eyed(agent, lens, clock):
    """The same agent with a second camera, and a policy that learned to do without one of them."""
    other = Lens(clock)
    agent.eyes = Eyes({"front": lens, "wrist": other})
    agent.planner.policy.spare = ("front", "wrist")
    return agent, other


def test_work_goes_on_with_one_camera_when_the_policy_was_trained_for_that(two_eyed, arm, lens, waver):
    agent, other = two_eyed
    seen, calm = [], waver.act

    def act(obs):
        seen.append(set(obs.frames))
        return calm(obs)

    waver.act = act

    def blind():
        other.dead = True

    result = agent.run("wave", 5.0, done=during(agent, 1.0, blind))
    assert [f.name for f in result.faults] == ["spare_camera"] and "wrist" in result.faults[0].reason
    assert [m for _, m in result.modes] == ["active"]
    assert seen[0] == {"front", "wrist"} and seen[-1] == {"front"}  # an old picture is not shown again


def test_the_last_camera_is_never_spare(two_eyed, lens):
    agent, other = two_eyed

    def blind():
        lens.dead = other.dead = True

    result = agent.run("wave", 4.0, done=during(agent, 1.0, blind))
    assert "stale_camera" in [f.name for f in result.faults] and "hold" in [m for _, m in result.modes]


def test_another_scene_is_no_change_of_the_last_one(agent, lens):
    agent.run("wave", 1.0)
    agent.park()
    lens.dark = True  # in the first picture of what comes next
    agent.run("wave", 0.05)
    assert agent.eyes.level["front"] == 0.0 and agent.eyes.change["front"] == 0.0
    lens.dark = False
    agent.eyes.look(agent.clock.now())
    assert agent.eyes.change["front"] > 0.1
