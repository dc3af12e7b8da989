"""How far a goal may lead its joint: a position servo turns every radian between the two into speed."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from robot.interfaces import ArmState, Array

Mask = NDArray[np.bool_]  # (J,)
LEAD = 0.08  # rad, by which a goal may lead a joint that something holds back
LAG = 0.04  # s, by which a servo that moves follows its goal
SWAY = 0.15  # rad, within which the last readings lie; a goal that follows a wild reading throws the arm around
LAST = 5  # readings
SAME = 0.0025  # rad, less than two counts of an encoder: the reading has not changed
ALIKE = 4  # readings without a change
ON = 0.06  # rad, by which the goal moves on meanwhile
MORE = 0.03  # rad, the same for a joint that was stopped at that reading before
BACK = 0.02  # rad, from which the goal may lead the joint anew
AGAIN = 50  # readings after which a stopped joint is tried, and then as often
NUDGE, STEPS = 0.03, 5  # rad towards its goal, and readings in which it gets there


def clipped(x: Array, lowest: Array, highest: Array) -> Array:
    """What `np.clip` gives, for a few joints at a quarter of its time."""
    out: Array = np.minimum(np.maximum(x, lowest), highest)
    return out


class Reach:
    """Keeps what is sent near the joints, as they are read. The gripper, which presses on purpose, goes free.

    A joint that something holds back never has more than `LEAD` to leap by when it comes free. One whose reading
    stands while its goal goes on is jammed, or its encoder lies and it runs away: its goal becomes its reading,
    which stops the motor either way, until the reading moves or the goal has come back to it. What held it may be gone
    while its motor rests, so it is nudged from time to time: too little for a joint that runs away to get anywhere.
    """

    def __init__(self, joints: int) -> None:
        self._recent: deque[Array] = deque(maxlen=LAST)  # (J,) rad
        self._alike = np.zeros(joints, dtype=np.int64)  # readings on end without a change
        self._stood = self._since = np.full(joints, np.nan)  # rad: the reading they repeat, and the goal at the first
        self._stopped = self._before = np.zeros(joints, dtype=bool)  # now; and at this reading before
        self.strain = np.zeros(joints)  # (J,) the most effort that each joint showed at the place where it stands

    def see(self, state: ArmState, goal: Array, heard: Mask) -> Mask:
        """Take in a reading under `goal` (J,) rad; which joints have come free and must start from where they are."""
        self._recent.append(state.q)
        same = np.abs(state.q - self._stood) < SAME
        again = self._stopped & (np.abs(goal - self._stood) < BACK)
        new = ~same | again
        self._alike = np.where(new, 0, self._alike + heard)
        self._stood, self._since = np.where(new, state.q, self._stood), np.where(new, goal, self._since)
        self.strain = np.fmax(np.where(same, self.strain, 0.0), np.abs(state.effort))
        on = np.abs(goal - self._since) > np.where(self._before, MORE, ON)
        stopped: Mask = ~new & (self._stopped | (self._alike >= ALIKE) & on)
        stopped[-1] = False
        free: Mask = self._stopped & ~same
        self._stopped, self._before = stopped, same & (self._before | stopped)
        return free

    def within(self, goal: Array, speed: Array) -> Array:
        """What to send of `goal` (J,) rad, which moves at `speed` (rad/s)."""
        if len(self._recent) < LAST:
            return goal
        rows = np.array(self._recent)
        reach = LEAD + LAG * np.abs(speed)
        steady = np.maximum.reduce(rows) - np.minimum.reduce(rows) < SWAY
        steady[-1] = False
        out: Array = np.where(steady, clipped(goal, rows[-1] - reach, rows[-1] + reach), goal)
        step = np.where(self._alike >= AGAIN, self._alike % AGAIN, 0)
        nudge = NUDGE * np.where(step <= STEPS, step / STEPS, 0.0)
        return np.where(self._stopped, self._stood + clipped(goal - self._stood, -nudge, nudge), out)
