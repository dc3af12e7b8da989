"""A small arm in virtual time for the core's tests: joints that follow their goals, and servos that can fail."""

from __future__ import annotations

import numpy as np
import pytest

from robot.arms.so101 import so101
from robot.clock import SimClock
from robot.interfaces import ArmState, Chunk, Frame, Health


class JointArm:
    """Joints with a lag of `tau` s; `silent`, `flags`, `temperature`, `stuck` and `noise` are what a test breaks."""

    def __init__(self, clock: SimClock, tau: float = 0.03) -> None:
        self.spec, self.clock, self.tau = so101().spec, clock, tau
        n = len(self.spec.names)
        self.q, self.goal, self.torque = self.spec.home.copy(), self.spec.home.copy(), False
        self.dq = np.zeros(n)
        self.silent = np.zeros(n, bool)
        self.flags = np.zeros(n, np.int64)
        self.temperature = np.full(n, 35.0)
        self.voltage = np.full(n, 12.0)
        self.stuck = np.zeros(n, bool)
        self.noise, self._rng = np.zeros(n), np.random.default_rng(0)  # rad, of what the encoders say
        self.sent: list[tuple[float, np.ndarray]] = []
        self.calls: list[str] = []
        self._then = clock.now()
        self._heard = np.full(n, clock.now())
        self._known = self.q.copy()

    def _advance(self) -> None:
        dt = self.clock.now() - self._then
        self._then = self.clock.now()
        if dt > 0.0:
            moves = self.torque & ~self.stuck
            step = (self.goal - self.q) * (1.0 - np.exp(-dt / self.tau)) * moves
            self.q, self.dq = self.q + step, step / dt

    def open(self) -> None:
        self.calls.append("open")

    def engage(self) -> None:
        self._advance()
        self.goal, self.torque = self.q.copy(), True
        self.calls.append("engage")

    def read(self) -> ArmState:
        self._advance()
        now, heard = self.clock.now(), ~self.silent
        self._heard = np.where(heard, now, self._heard)
        seen = self.q + self.noise * self._rng.uniform(-1.0, 1.0, len(self.q)) if self.noise.any() else self.q
        self._known = np.where(heard, seen, self._known)
        health = self.flags | np.where(self.silent, int(Health.SILENT), 0)
        health = health | (0 if self.torque else int(Health.LIMP))
        effort = np.clip((self.goal - self.q) * 2.0, -1.0, 1.0) if self.torque else np.zeros_like(self.q)
        return ArmState(now, self._known.copy(), self.dq.copy(), effort, np.abs(effort), self.temperature.copy(),
                        self.voltage.copy(), health, now - self._heard)

    def command(self, q: np.ndarray) -> np.ndarray:
        self._advance()
        assert self.torque, "commanded while limp"
        self.goal = np.array(q)
        self.sent.append((self.clock.now(), self.goal.copy()))
        return self.goal.copy()

    def relax(self) -> None:
        self._advance()
        self.torque = False
        self.calls.append("relax")

    def close(self) -> None:
        self.relax()
        self.calls.append("close")

    def reopen(self) -> None:
        self.calls.append("reopen")

    def reconfigure(self, joint: int) -> None:
        self.calls.append(f"reconfigure {joint}")
        self.flags[joint] &= ~int(Health.REBOOTED | Health.DRIFTED | Health.LIMP)

    def relieve(self, joint: int) -> None:
        self.calls.append(f"relieve {joint}")
        self.flags[joint] &= ~int(Health.OVERLOAD)


class Lens:
    """A camera in virtual time; `frozen` stops its stamps, `dark` blackens it, `same` repeats one picture."""

    def __init__(self, clock: SimClock) -> None:
        self.clock, self.dead, self.same, self.dark = clock, False, False, False
        self._count = 0
        self._last = 0.0

    def read(self, max_age: float) -> Frame:
        if not self.dead:
            self._last = self.clock.now()
        if self.clock.now() - self._last > max_age:
            raise TimeoutError(f"the newest picture is {self.clock.now() - self._last:.1f} s old")
        self._count += not self.same
        rgb = np.full((16, 16, 3), 0 if self.dark else 60 + self._count % 100, np.uint8)
        return Frame(self._last, rgb)


class Waver:
    """A policy that swings every joint about home, in chunks of 8 rows of 0.1 s."""

    def __init__(self, size: float = 0.3) -> None:
        self.size, self.acts, self.resets, self.bad = size, 0, 0, False

    def reset(self, instruction: str) -> None:
        self.resets += 1
        self.bad = False

    def act(self, obs) -> Chunk:
        self.acts += 1
        times = obs.stamp + 0.1 * np.arange(1, 9)
        home = so101().spec.home
        q = home + self.size * np.sin(times)[:, None] * np.ones(len(home))
        return Chunk(times[0], 0.1, np.full_like(q, np.nan) if self.bad else q)


@pytest.fixture
def clock() -> SimClock:
    return SimClock()


@pytest.fixture
def arm(clock) -> JointArm:
    return JointArm(clock)


@pytest.fixture
def lens(clock) -> Lens:
    return Lens(clock)


@pytest.fixture
def waver() -> Waver:
    return Waver()


@pytest.fixture
def agent(arm, clock, lens, waver):
    from robot.agent import Agent
    from robot.guard import Guard
    from robot.planner import InlinePlanner
    from robot.supervisor import Supervisor

    return Agent(Guard(arm, clock), {"front": lens}, InlinePlanner(waver), Supervisor(), clock, rate=100.0, watch=0.1)
