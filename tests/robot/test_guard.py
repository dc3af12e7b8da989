import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot.arms.so101 import so101
from robot.errors import ArmError
from robot.guard import LONGEST_STEP, TOLERANCE, Guard, limit
from robot.interfaces import Arm

SPEC = so101().spec
N = len(SPEC.names)
HOME = SPEC.home
angles = st.lists(st.floats(-8.0, 8.0), min_size=N, max_size=N).map(np.array)
steps = st.floats(1e-4, LONGEST_STEP)


@pytest.fixture
def guard(arm, clock):
    made = Guard(arm, clock)
    made.open()
    return made


def drive(guard, clock, target, seconds, dt=0.01):
    """Goals sent on the way to `target`."""
    out = []
    for _ in range(round(seconds / dt)):
        clock.wait(clock.now() + dt)
        out.append(guard.command(target))
    return np.array(out)


# ---------------------------------------------------------------- the limiter, for every input
@given(st.lists(st.tuples(angles, steps, st.floats(0.05, 1.0), angles), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_nothing_leaves_range_speed_or_acceleration_whatever_is_asked(asked):
    q, v = HOME.copy(), np.zeros(N)
    for wanted, dt, scale, drift in asked:
        before = v
        q, v = limit(wanted, q, v, dt, SPEC, scale, drift)
        assert (q >= SPEC.lower - 1e-9).all() and (q <= SPEC.upper + 1e-9).all()
        assert (np.abs(v) <= SPEC.speed + 1e-9).all()
        assert (np.abs(v - before) <= SPEC.acceleration * dt + 1e-9).all()
        room = np.where(v > 0.0, SPEC.upper - q, q - SPEC.lower)
        assert (v * v / (2.0 * SPEC.acceleration) <= room + 1e-9).all()  # it can brake before the end


@given(angles, steps)
@settings(max_examples=30, deadline=None)
def test_a_standing_target_is_reached_without_passing_it(target, dt):
    target = np.clip(target, SPEC.lower, SPEC.upper)
    q, v = HOME.copy(), np.zeros(N)
    for _ in range(int(6.0 / dt)):
        q, v = limit(target, q, v, dt, SPEC)
        assert ((target - q) * (target - HOME) >= -1e-9).all()
        if np.abs(target - q).max() < 1e-3 and np.abs(v).max() < 1e-2:
            break
    assert np.allclose(q, target, atol=1e-3)


@given(st.floats(-0.8, 0.8), st.floats(1e-3, 0.03))
@settings(max_examples=50, deadline=None)
def test_what_is_within_the_limits_passes_unchanged(speed, dt):
    middle = (SPEC.lower + SPEC.upper) / 2.0
    q, v, target = middle, np.full(N, speed), middle
    for _ in range(10):
        target = target + speed * dt
        q, v = limit(target, q, v, dt, SPEC, drift=np.full(N, speed))
        assert np.allclose(q, np.clip(target, SPEC.lower, SPEC.upper), atol=1e-12)


def test_a_start_outside_the_range_comes_back_in_slowly():
    q, v = SPEC.upper + 0.3, np.zeros(N)
    furthest = 0.0
    for _ in range(300):
        new, v = limit(SPEC.upper, q, v, 0.01, SPEC)
        furthest = max(furthest, np.abs(new - q).max())
        assert (new <= q + 1e-12).all()
        q = new
    assert furthest <= 3.0 * 0.01 and np.allclose(q, SPEC.upper, atol=1e-3)


def test_a_target_that_moves_faster_than_the_arm_may_is_not_followed_that_fast():
    fastest, middle = SPEC.speed, (SPEC.lower + SPEC.upper) / 2.0
    _, speed = limit(middle + 1.05 * fastest * 0.01, middle, fastest, 0.01, SPEC, drift=1.05 * fastest)
    assert speed[0] <= fastest[0]


def test_half_the_speed_is_half_the_speed():
    q, v = HOME.copy(), np.zeros(N)
    for _ in range(40):
        q, v = limit(HOME + 1.5, q, v, 0.01, SPEC, scale=0.5)
    assert v[0] == pytest.approx(0.5 * SPEC.speed[0])
    for _ in range(20):
        q, v = limit(HOME + 3.0, q, v, 0.01, SPEC)
    assert v[0] == pytest.approx(SPEC.speed[0])  # all of it, unless told otherwise


# ---------------------------------------------------------------- the gate
def test_is_an_arm(guard):
    assert isinstance(guard, Arm) and guard.spec is guard.arm.spec


def test_is_closed_until_engaged_and_after_relaxing(guard, arm):
    for closed in (lambda: None, guard.relax, guard.close, guard.open):
        closed()
        assert not guard.engaged and np.isnan(guard.goal).all()
        with pytest.raises(ArmError, match="engage"):
            guard.command(HOME)
        with pytest.raises(ArmError, match="engage"):
            guard.reseed()
        guard.engage()
        assert guard.engaged and guard.read().q.shape == (N,)
    assert "relax" in arm.calls and not arm.sent


def test_engaging_starts_from_the_present_pose_at_rest(guard, arm, clock):
    arm.q = HOME + 0.2
    guard.engage()
    assert np.allclose(guard.goal, HOME + 0.2) and not guard.speed.any()
    sent = drive(guard, clock, HOME - 0.2, 0.05)
    assert np.abs(sent[0] - (HOME + 0.2)).max() <= 20.0 * 0.01 * 0.01 + 1e-9


def test_a_joint_that_cannot_be_read_is_named_and_keeps_the_gate_closed(guard, arm):
    arm.silent[3] = True
    with pytest.raises(ArmError, match="wrist_flex"):
        guard.engage()
    assert not guard.engaged
    arm.silent[3], arm.q[2] = False, np.nan
    with pytest.raises(ArmError, match="elbow_flex"):
        guard.engage()
    assert not guard.engaged


def test_an_arm_that_fails_to_engage_leaves_the_gate_closed(guard, arm):
    def fails():
        raise ArmError("no torque")

    arm.engage = fails
    with pytest.raises(ArmError, match="no torque"):
        guard.engage()
    assert not guard.engaged


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_whole(guard, clock, bad):
    guard.engage()
    target = HOME + 0.1
    target[1] = bad
    sent = drive(guard, clock, target, 0.1)
    assert np.allclose(sent, HOME) and guard.interventions.refused == 10
    assert "shoulder_lift" in guard.reason


@pytest.mark.parametrize("shape", [(N - 1,), (N + 1,), (1, N), ()])
def test_a_wrong_shape_is_an_error(guard, clock, shape):
    guard.engage()
    with pytest.raises(ArmError, match="targets"):
        guard.command(np.zeros(shape))


def test_a_jump_is_refused_and_braked_for(guard, clock):
    guard.engage()
    drive(guard, clock, HOME + np.array([0.9, 0, 0, 0, 0, 0]), 0.1)
    moving = guard.speed[0]
    assert moving > 0.5
    far = HOME + np.array([0, 0, 0, 0, 2.0, 0])
    sent = drive(guard, clock, far, 0.3)
    assert "wrist_roll" in guard.reason and "+2.00" in guard.reason
    assert np.allclose(guard.speed, 0.0, atol=1e-6)
    assert np.abs(np.diff(sent[:, 0], 2)).max() <= 20.0 * 0.01**2 + 1e-9


def test_the_gripper_may_go_from_end_to_end(guard, clock):
    guard.engage()
    target = HOME.copy()
    target[-1] = SPEC.upper[-1]
    drive(guard, clock, target, 2.0)
    assert guard.goal[-1] == pytest.approx(SPEC.upper[-1]) and guard.interventions.refused == 0


def test_what_is_outside_the_range_is_clamped_and_counted(guard, clock):
    guard.engage()
    for _ in range(4):
        drive(guard, clock, guard.goal + np.array([0.9, 0, 0, 0, 0, 0]), 1.0)
    assert guard.goal[0] == pytest.approx(SPEC.upper[0], abs=1e-6)
    assert guard.interventions.clamped > 0 and guard.interventions.slowed > 0
    assert guard.interventions.total == guard.interventions.clamped


def test_every_target_outside_the_range_counts_once(arm, clock):
    guard = Guard(arm, clock, jump=9.0)
    guard.engage()
    drive(guard, clock, SPEC.upper + 0.1, 0.02)
    assert guard.interventions.clamped == 2


def test_a_target_that_stands_is_not_passed(guard, clock):
    guard.engage()
    target = HOME + np.array([0.9, 0, 0, 0, 0, 0])
    sent = drive(guard, clock, target, 1.5)
    assert sent[:, 0].max() <= target[0] + 1e-9 and sent[-1, 0] == pytest.approx(target[0], abs=1e-3)


def test_a_joint_that_was_not_heard_but_is_found_where_it_should_be_keeps_its_goal(guard, arm, clock):
    guard.engage()
    goal = drive(guard, clock, HOME + 0.01, 0.3)[-1]
    arm.silent[:] = True
    clock.wait(clock.now() + 0.1)
    guard.read()
    arm.silent[:] = False
    guard.read()
    assert np.array_equal(guard.goal, goal)


def test_a_scene_without_trouble_counts_nothing(guard, clock):
    guard.engage()
    drive(guard, clock, HOME + 0.05, 0.5)
    assert guard.interventions.total == 0 and guard.interventions.slowed == 0 and guard.reason == ""


def test_forbidden_poses_are_braked_before(arm, clock):
    wall = HOME[0] + 0.5
    guard = Guard(arm, clock, keep_out=lambda q: "too far left" if q[0] > wall else None)
    guard.engage()
    sent = drive(guard, clock, HOME + np.array([0.9, 0, 0, 0, 0, 0]), 2.0)
    assert sent[:, 0].max() <= wall + 1e-6 and sent[-1, 0] > wall - 0.01
    assert np.diff(sent[:, 0]).max() / 0.01 == pytest.approx(SPEC.speed[0])  # it does not brake sooner than it must
    assert guard.reason == "too far left"
    assert guard.interventions.total == guard.interventions.kept_out > 0
    assert np.abs(np.diff(sent[:, 0], 2)).max() <= 20.0 * 0.01**2 + 1e-9


def test_degraded_work_is_slower(guard, clock):
    guard.engage()
    guard.scale = 0.2
    sent = drive(guard, clock, HOME + np.array([0.9, 0, 0, 0, 0, 0]), 0.5)
    assert np.diff(sent[:, 0]).max() / 0.01 == pytest.approx(0.2 * SPEC.speed[0])


# ---------------------------------------------------------------- time
def test_a_late_command_is_not_a_leap(guard, clock):
    guard.engage()
    clock.wait(clock.now() + 5.0)
    sent = guard.command(HOME + np.array([0.9, 0, 0, 0, 0, 0]))
    assert np.abs(sent - HOME).max() <= 20.0 * 0.05**2 + 1e-9


def test_two_commands_at_one_instant_are_one(guard, clock):
    guard.engage()
    first = drive(guard, clock, HOME + 0.1, 0.01)[-1]
    assert np.array_equal(guard.command(HOME + 0.1), first)


def test_jitter_about_the_period_does_not_show(arm, clock):
    rng = np.random.default_rng(0)
    guard = Guard(arm, clock, period=0.01)
    guard.engage()
    target, sent = HOME.copy(), []
    for k in range(200):
        clock.wait(0.01 * (k + 1) + rng.uniform(-0.003, 0.003))
        target = target + np.array([0.01 * min(1.0, 0.05 * k), 0, 0, 0, 0, 0])
        target[0] = min(target[0], 0.9)
        sent.append(guard.command(target)[0])
    asked = np.minimum(np.cumsum(0.01 * np.minimum(1.0, 0.05 * np.arange(200))), 0.9)
    assert np.abs(np.array(sent) - HOME[0] - asked).max() < 0.02
    assert guard.interventions.total == 0


def test_commands_in_a_burst_gain_nothing(arm, clock):
    guard = Guard(arm, clock, period=0.01)
    guard.engage()
    began = clock.now()
    while clock.now() < began + 1.0:
        clock.wait(clock.now() + 0.001)
        guard.command(HOME + np.array([0.95, 0, 0, 0, 0, 0]))
    moved = [q[0] for _, q in arm.sent]
    assert np.abs(np.diff(moved)).max() <= SPEC.speed[0] * 0.01 + 1e-9


# ---------------------------------------------------------------- after an outage
def test_reseeding_takes_the_present_pose_where_it_is_far_from_the_goal(guard, arm):
    guard.engage()
    arm.q = HOME + np.array([0.5, -0.02, 0, 0, 0, 0])
    guard.reseed()
    assert guard.goal[0] == pytest.approx(HOME[0] + 0.5)
    assert guard.goal[1] == pytest.approx(HOME[1])  # a joint that sags a little is not let sink
    assert np.allclose(arm.sent[-1][1], guard.goal) and not guard.speed.any()


def test_joints_without_torque_are_followed_not_fought(guard, arm):
    limp = np.zeros(N, bool)
    guard.yield_to(HOME + 1.0, limp)
    assert not guard.engaged
    guard.engage()
    limp[4] = True
    moved = HOME + 1.0
    guard.yield_to(moved, limp)
    assert guard.goal[4] == pytest.approx(HOME[4] + 1.0) and np.allclose(guard.goal[:4], HOME[:4])
    moved[4] = np.nan
    guard.yield_to(moved, limp)
    assert np.isfinite(guard.goal).all() and not arm.sent


def test_a_joint_that_fell_silent_goes_on_from_where_it_is_found(guard, arm, clock):
    guard.engage()
    drive(guard, clock, HOME + 0.2, 0.5)
    arm.silent[2] = True
    clock.wait(clock.now() + 0.2)
    guard.read()
    arm.silent[2], arm.q[2] = False, HOME[2] - 0.5
    assert guard.read().q[2] == pytest.approx(guard.goal[2], abs=1e-9)
    assert np.allclose(guard.goal[:2], HOME[:2] + 0.2, atol=1e-3)  # the others stay


def test_a_limp_arm_is_read_without_any_goal(guard, arm, clock):
    arm.silent[2] = True
    clock.wait(clock.now() + 0.2)
    guard.read()
    arm.silent[2] = False
    assert guard.read().q.shape == (N,) and not guard.engaged and not arm.sent


def test_a_joint_just_within_the_tolerance_keeps_its_goal(guard, arm, clock):
    guard.engage()
    assert guard.goal[0] == 0.0
    arm.q[0] = 0.25
    guard.reseed(0.25)
    assert guard.goal[0] == 0.0
    arm.silent[0] = True
    clock.wait(clock.now() + 0.2)
    guard.read()
    arm.silent[0], arm.torque, arm.q[0] = False, False, TOLERANCE
    guard.read()
    assert guard.goal[0] == 0.0


def test_a_joint_that_does_not_follow_is_not_driven_and_goes_on_from_where_it_is(guard, arm, clock):
    guard.engage()
    arm.stuck[1] = True
    stood, wanted = arm.q[1], SPEC.home.copy()
    wanted[1] += 0.5
    for _ in range(60):
        clock.wait(clock.now() + 0.01)
        guard.read()
        guard.command(wanted)
    assert arm.goal[1] == pytest.approx(stood) and guard.goal[1] == pytest.approx(wanted[1])
    assert guard.strain[1] > 0.1
    arm.stuck[1], arm.q[1] = False, stood + 0.02  # it comes free
    clock.wait(clock.now() + 0.01)
    guard.read()
    assert guard.goal[1] == pytest.approx(arm.q[1]) and guard.speed[1] == 0.0
    guard.command(wanted)
    assert abs(arm.goal[1] - arm.q[1]) < 0.01
