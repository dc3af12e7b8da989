"""What is known of each servo of an arm, how old it is, and whom to ask next."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from hardware.bus import SILENT, Result
from hardware.calibration import Calibration
from hardware.family import TICK_TURN, Audit, Family, Reading
from robot.faults import UNFIT
from robot.interfaces import ArmState, Health

LOG = logging.getLogger(__name__)
GIVE_UP = 3  # cycles in a row without an answer, after which a servo is asked only now and then
PROBE = 0.25  # s, between two questions to a servo that was given up
OUTAGE = 0.05  # s, between two questions when every servo was given up
SLIP = 0.5  # s, by which a servo's own clock may disagree with ours


class Telemetry:
    """The newest readings and audits of S servos that move J joints; the first servo of a joint measures it."""

    def __init__(self, families: list[Family], joints: list[int], calibration: Calibration,
                 names: Sequence[str]) -> None:
        """`names` are the joints'."""
        n = len(families)
        self._names = [names[j] for j in joints]
        self._families, self._joints = families, joints
        self._scale, self._zero = calibration.scale[joints].tolist(), calibration.zero[joints].tolist()
        self._first = [joints.index(j) for j in range(max(joints) + 1)]
        # Lists: each servo's facts come and are asked for one by one, which takes an array several times as long.
        self._values = [[math.nan] * 6 for _ in families]  # q, dq, effort, current, temperature, voltage
        self._heard = [-math.inf] * n  # s, when each position was really read
        self._reply = [int(Health.SILENT)] * n
        self._config = [int(Health.LIMP)] * n
        self._rebooted = [False] * n
        self._misses = [0] * n
        self._probe = [0.0] * n  # s, when a servo that was given up is asked again
        self._trusted = [False] * n  # audited since it last fell silent
        self._ticks = [(math.nan, 0.0)] * n  # each servo's clock, and ours then
        self._turn = 0

    # ------------------------------------------------------------ whom to ask
    def due(self, now: float) -> list[int]:
        """Servos to read in this cycle: those that answer, and the silent ones from time to time."""
        if min(self._misses) >= GIVE_UP:
            early = now < min(self._probe) - PROBE + OUTAGE
            return [] if early else list(range(len(self._misses)))
        return [s for s, misses in enumerate(self._misses) if misses < GIVE_UP or now >= self._probe[s]]

    def lost_just_now(self, servos: list[int]) -> bool:
        """Whether all of them answered the last time, so that asking a missing one again is worth its time."""
        return not any(self._misses[s] for s in servos)

    def to_audit(self) -> int | None:
        """The servo whose configuration to look at now: those that came back first, then each in turn."""
        for s, (misses, trusted) in enumerate(zip(self._misses, self._trusted)):
            if not misses and not trusted:
                return s
        self._turn = (self._turn + 1) % len(self._misses)
        return None if self._misses[self._turn] else self._turn

    # ------------------------------------------------------------ what came of it
    def take(self, s: int, result: Result, now: float) -> None:
        """Note the outcome of reading servo `s`."""
        if result.data is None:
            self._reply[s] = int(Health.SILENT if result.problem == SILENT else Health.CORRUPT)
            self._misses[s] += 1
            self._probe[s] = now + PROBE
            if self._misses[s] >= GIVE_UP:
                self._trusted[s] = False
            return
        self._misses[s] = 0
        family = self._families[s]
        reading = family.reading(result.data, result.error)
        health = int(reading.health)
        scale = self._scale[s]
        sign = math.copysign(1.0, scale)
        self._values[s][1:] = (reading.velocity * sign, reading.effort * sign, reading.current * sign,
                               reading.temperature, reading.voltage)
        if family.lowest <= reading.position <= family.highest:
            self._values[s][0] = (reading.position - self._zero[s]) * scale
            self._heard[s] = now
        else:
            health |= int(Health.ENCODER)
        if reading.alert and not self._config[s] & ~(UNFIT | int(Health.DRIFTED)):
            self._trusted[s] = False
        self._check_clock(s, reading, now)
        self._reply[s] = health

    def _check_clock(self, s: int, reading: Reading, now: float) -> None:
        before, then = self._ticks[s]
        self._ticks[s] = (reading.tick, now)
        if math.isfinite(before) and math.isfinite(reading.tick):
            slip = (reading.tick - before - (now - then) + TICK_TURN / 2) % TICK_TURN - TICK_TURN / 2
            if abs(slip) > SLIP:
                self._rebooted[s] = True
                self._trusted[s] = False

    def audited(self, s: int, seen: Audit) -> None:
        """Note what a look at the configuration of servo `s` showed."""
        if seen.wrong and not self._config[s] & (Health.REBOOTED | Health.DRIFTED):
            LOG.warning("%s: %s not what was written; it is written again", self._names[s], ", ".join(seen.wrong))
        self._rebooted[s] |= bool(seen.health & Health.REBOOTED)
        self._config[s] = int(seen.health) | (int(Health.REBOOTED) if self._rebooted[s] else 0)
        self._trusted[s] = True

    def configured(self, s: int) -> None:
        """The configuration of servo `s` was written again."""
        self._rebooted[s] = False
        self._config[s] &= ~int(Health.REBOOTED | Health.DRIFTED)

    def torque(self, s: int, on: bool) -> None:
        """The torque of servo `s` was switched, and verified."""
        self._config[s] = self._config[s] & ~int(Health.LIMP) | (0 if on else int(Health.LIMP))
        self._trusted[s] |= on

    def port_lost(self) -> None:
        """Nobody could be asked at all."""
        self._reply = [int(Health.SILENT)] * len(self._reply)
        self._trusted = [False] * len(self._trusted)

    # ------------------------------------------------------------ for those above
    def fit(self, s: int) -> bool:
        """Whether servo `s` may receive goals: it answers, holds torque, and is as it was set up."""
        return self._trusted[s] and not self._config[s] & UNFIT

    def state(self, now: float) -> ArmState:
        """Per joint: the first servo's values, the worst temperature, and every servo's flags."""
        q, dq, effort, current, temperature, voltage = np.array([self._values[s] for s in self._first]).T.copy()
        health = np.array([self._reply[s] | self._config[s] for s in self._first])
        age = np.array([now - self._heard[s] for s in self._first])
        if len(self._joints) > len(self._first):
            for s in set(range(len(self._joints))) - set(self._first):
                j = self._joints[s]
                health[j] |= self._reply[s] | self._config[s]
                temperature[j] = np.fmax(temperature[j], self._values[s][4])
        return ArmState(now, q, dq, effort, current, temperature, voltage, health, age)
