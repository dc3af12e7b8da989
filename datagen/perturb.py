"""Mistakes worth learning from: what is executed is not what the expert wants, and its wish is the label.

Noise in the executed actions with clean labels keeps behaviour cloning near the demonstrated path (DART, Laskey et
al. 2017, arXiv:1703.09327). The other mistakes are what a learner will do anyway; the expert shows the way back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robot.errors import ConfigError
from robot.interfaces import ArmSpec, Array
from robot.registry import option

KINDS = ("wrong_start", "missed", "dropped", "displaced")
Labels = Mapping[str, Any]


@dataclass(frozen=True)
class Mistakes:
    """How often an episode has each mistake (probabilities), and how strong the noise is in all of them."""

    noise: float = 0.0  # rad, standard deviation at each arm joint
    memory: float = 0.85  # correlation of the noise from one period to the next
    odds: Mapping[str, float] = field(default_factory=dict)  # kind -> probability

    def draw(self, rng: np.random.Generator, spec: ArmSpec) -> Disturbance:
        """The mistakes of one episode."""
        chosen = frozenset(kind for kind in KINDS if rng.random() < self.odds.get(kind, 0.0))
        return Disturbance(rng, spec, self.noise, self.memory, chosen)


@option("mistakes", "none")
def none() -> Mistakes:
    """The expert's actions as they are."""
    return Mistakes()


@option("mistakes", "noise")
def noise(amount: float = 0.015, memory: float = 0.85) -> Mistakes:
    """Smooth noise of `amount` rad on every arm joint: a few millimetres at the tip."""
    return Mistakes(_amount(amount), memory)


@option("mistakes", "mix")
def mix(amount: float = 0.015, memory: float = 0.85, wrong_start: float = 0.15, missed: float = 0.1,
        dropped: float = 0.1, displaced: float = 0.1) -> Mistakes:
    """Noise in every episode, and each of the other mistakes in this share of them."""
    odds = {"wrong_start": wrong_start, "missed": missed, "dropped": dropped, "displaced": displaced}
    for kind, share in odds.items():
        if not 0.0 <= share <= 1.0:
            raise ConfigError(f"mistakes.{kind}={share} is a probability; give a value from 0 to 1")
    return Mistakes(_amount(amount), memory, odds)


def _amount(value: float) -> float:
    if not 0.0 <= value <= 0.2:
        raise ConfigError(f"mistakes.amount={value} rad is outside 0 to 0.2")
    return value


class Disturbance:
    """One episode's mistakes. `happened` names those that came about, in order."""

    def __init__(self, rng: np.random.Generator, spec: ArmSpec, noise: float, memory: float,
                 kinds: frozenset[str]) -> None:
        self.rng, self.spec, self.noise, self.memory = rng, spec, noise, memory
        self.waiting = set(kinds)
        self.happened: list[str] = []
        self._value = np.zeros(len(spec.names) - 1)
        self._swerve = np.zeros(len(spec.names) - 1)
        self._gripper: float | None = None
        self._left = 0  # periods that a forced gripper still has
        self._delay = int(rng.integers(0, 8))  # periods from the chance of a mistake to the mistake
        if "wrong_start" in kinds:
            self._swerve = rng.uniform(-0.4, 0.4, len(self._swerve))
            self._happen("wrong_start")

    def act(self, clean: Array, q: Array, labels: Labels) -> Array:
        """What is really commanded when the expert wants `clean` (J,) rad, the arm being at `q`."""
        self._advance(q, labels)
        out = clean.copy()
        innovation = np.sqrt(1 - self.memory**2) * self.noise
        self._value = self.memory * self._value + innovation * self.rng.standard_normal(len(self._value))
        out[:-1] += self._value + self._swerve
        self._swerve = self._swerve * 0.8
        if self._left > 0 and self._gripper is not None:
            self._left -= 1
            out[-1] = self._gripper
        return np.clip(out, self.spec.lower, self.spec.upper)

    def shift(self, labels: Labels) -> Array | None:
        """How far (3,) m something knocks the target away now, or None."""
        if "displaced" not in self.waiting or _held(labels) or self._far(labels) > 0.12 or self._wait():
            return None
        self._happen("displaced")
        angle, far = self.rng.uniform(0, 2 * np.pi), self.rng.uniform(0.02, 0.05)
        return np.array([far * np.cos(angle), far * np.sin(angle), 0.0])

    # ------------------------------------------------------------ inside
    def _advance(self, q: Array, labels: Labels) -> None:
        held = _held(labels)
        if "missed" in self.waiting and not held and self._far(labels) < 0.07 and not self._wait():
            self._happen("missed")
            self._gripper, self._left = float(self.spec.lower[-1]), int(self.rng.integers(5, 10))
        elif "dropped" in self.waiting and held and self._left == 0 and not self._wait():
            self._happen("dropped")
            opened = min(q[-1] + 0.5 * (self.spec.upper[-1] - self.spec.lower[-1]), self.spec.upper[-1])
            self._gripper, self._left = float(opened), int(self.rng.integers(3, 6))

    def _far(self, labels: Labels) -> float:
        tip = labels.get("tip_xyz")
        if tip is None:
            return float("inf")
        return float(np.linalg.norm(np.asarray(labels["aux.target_xyz"]) - np.asarray(tip)))

    def _wait(self) -> bool:
        if self._delay > 0:
            self._delay -= 1
            return True
        self._delay = int(self.rng.integers(0, 8))
        return False

    def _happen(self, kind: str) -> None:
        self.waiting.discard(kind)
        self.happened.append(kind)


def _held(labels: Labels) -> bool:
    return bool(np.ravel(labels.get("aux.held", 0))[0] > 0.5)
