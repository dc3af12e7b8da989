import numpy as np
import pytest

from robot.interfaces import ArmState
from robot.reach import AGAIN, ALIKE, LAG, LAST, LEAD, NUDGE, ON, STEPS, Reach

HEARD = np.ones(3, dtype=bool)
STILL = np.zeros(3)


def state(q, effort=0.0):
    q, rest = np.array(q, dtype=float), np.zeros(3)
    return ArmState(0.0, q, rest, np.full(3, effort), rest, rest, rest, np.zeros(3, np.int64), rest)


def follow(reach, q, goal, heard=HEARD, effort=0.0):
    return reach.see(state(q, effort), np.array(goal, dtype=float), heard)


@pytest.fixture
def reach():
    """At rest at 0, with readings that tremble by a few counts, as those of moving joints do."""
    made = Reach(3)
    for k in range(LAST):
        follow(made, [0.004 * (k % 2)] * 3, STILL)
    return made


def test_a_joint_that_is_held_back_has_little_to_leap_by_and_the_gripper_goes_free(reach):
    sent = reach.within(np.array([1.0, -1.0, 1.0]), np.array([0.0, 2.0, 0.0]))
    assert np.allclose(sent, [LEAD, -(LEAD + 2.0 * LAG), 1.0])
    near = np.array([0.05, -0.05, 0.0])
    assert np.array_equal(reach.within(near, STILL), near)


def test_nothing_is_changed_before_enough_was_read_nor_by_readings_that_jump_about():
    reach, far = Reach(3), np.array([1.0, 0.0, 0.0])
    for k in range(LAST):
        assert np.array_equal(reach.within(far, STILL), far)
        follow(reach, [0.3 * (k % 2), 0.0, 0.0], STILL)
    assert np.array_equal(reach.within(far, STILL), far)


def stand(reach, goal_to=0.2, readings=8, heard=HEARD, effort=0.0):
    """Readings stay at 0 while the goals go on."""
    for k in range(readings):
        follow(reach, STILL, np.full(3, goal_to * k / (readings - 1)), heard, effort)


def test_a_reading_that_stands_while_the_goal_goes_on_stops_the_joint():
    reach = Reach(3)
    stand(reach)
    assert np.allclose(reach.within(np.full(3, 0.2), STILL), [0.0, 0.0, 0.2])


@pytest.mark.parametrize("given", [{"readings": ALIKE}, {"goal_to": 0.9 * ON}, {"heard": ~HEARD}],
                         ids=["too few readings", "the goal near", "the same old reading"])
def test_a_joint_is_not_stopped_early(given):
    reach = Reach(3)
    stand(reach, **given)
    goal = np.full(3, 0.05)
    assert np.array_equal(reach.within(goal, STILL), goal)


def test_a_stopped_joint_that_moves_is_free_from_where_it_is():
    reach = Reach(3)
    stand(reach)
    free = follow(reach, [0.01, 0.0, 0.01], np.full(3, 0.2))
    assert free.tolist() == [True, False, False]
    assert np.allclose(reach.within(np.full(3, 0.05), STILL), [0.05, 0.0, 0.05])


def test_a_goal_that_comes_back_may_lead_a_stopped_joint_anew():
    reach = Reach(3)
    stand(reach)
    follow(reach, STILL, np.full(3, 0.1))
    assert np.allclose(reach.within(np.full(3, 0.1), STILL)[:2], 0.0)
    assert not follow(reach, STILL, np.full(3, 0.01)).any()
    assert np.allclose(reach.within(np.full(3, -0.05), STILL), -0.05)


def test_the_strain_is_the_most_a_joint_gave_where_it_stands():
    reach = Reach(3)
    stand(reach, effort=-0.7)
    follow(reach, STILL, np.full(3, 0.2), effort=0.1)
    assert np.allclose(reach.strain, 0.7)
    follow(reach, [0.1] * 3, np.full(3, 0.2), effort=np.nan)
    assert np.allclose(reach.strain, 0.0)


def test_a_joint_that_was_stopped_before_is_stopped_sooner_until_its_reading_changes():
    reach, sooner = Reach(3), 0.04
    stand(reach)
    follow(reach, STILL, STILL)
    stand(reach, goal_to=sooner)
    assert np.allclose(reach.within(np.full(3, sooner), STILL)[:2], 0.0)
    follow(reach, [0.1] * 3, STILL)
    follow(reach, STILL, STILL)
    stand(reach, goal_to=sooner)
    assert np.allclose(reach.within(np.full(3, sooner), STILL), sooner)


def test_a_stopped_joint_is_nudged_from_time_to_time_in_case_what_held_it_is_gone():
    reach, goal, led = Reach(3), np.full(3, -0.2), []
    stand(reach, goal_to=-0.2)
    for _ in range(4 * AGAIN):
        assert not follow(reach, STILL, goal).any()
        led.append(reach.within(goal, STILL)[0])
    assert min(led) == -NUDGE and max(led) == 0.0
    assert np.abs(np.diff(led)).max() <= NUDGE + 1e-9 and led.count(-NUDGE) in (3, 4)
    assert np.mean(np.array(led) == 0.0) > 1 - 1.5 * STEPS / AGAIN
    assert follow(reach, [-0.004, 0.0, 0.0], goal).tolist() == [True, False, False]


def test_a_nudge_goes_no_further_than_the_goal():
    reach, near = Reach(3), np.full(3, 0.025)
    stand(reach)
    led = []
    for _ in range(2 * AGAIN):
        follow(reach, STILL, near)
        led.append(reach.within(near, STILL)[1])
    assert max(led) == 0.025
