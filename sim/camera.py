"""Simulated cameras: late, lossy and as stale as real ones. An exposure is kept as poses and drawn when it is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import numpy as np

from robot.interfaces import Clock, Frame
from sim.look import Look
from sim.picture import Instant, Renderer

HISTORY = 64  # exposures kept for delayed pictures
EPSILON = 1e-6  # s


class Rig:
    """All cameras of one scene. One draw serves them all; a picture that nobody reads is never drawn."""

    def __init__(self, renderer: Renderer, clock: Clock, take: Callable[[], Instant], size: int = 128) -> None:
        """`take` gives the instant to expose now; `size` is the pictures' side in px."""
        self.renderer, self.clock, self.take, self.size = renderer, clock, take, size
        self.cameras: dict[str, SimCamera] = {}
        self._seed, self._delay, self._drop = 0, 0.0, 0.0
        self._exposures: deque[tuple[float, Instant]] = deque(maxlen=HISTORY)
        self._drawn: tuple[Instant | None, Mapping[str, Frame]] = None, {}

    def reset(self, look: Look, seed: int = 0, delay: float = 0.0, drop: float = 0.0) -> None:
        """Forget all exposures. `delay` s from exposure to picture; `drop` the chance that an exposure is lost.

        The renderer must have been loaded with the scene's parts and `look`.
        """
        self.cameras = {name: self.cameras.get(name) or SimCamera(self, name) for name in look.views}
        self._seed, self._delay, self._drop = seed, delay, drop
        self._exposures.clear()
        self._drawn = None, {}

    def expose(self) -> None:
        """Take in the scene as it is now, once for each moment; call it at the cameras' frame rate.

        When time went back, as it does with a restored world, exposures of the future are forgotten.
        """
        now = self.clock.now()
        while self._exposures and self._exposures[-1][0] > now + EPSILON:
            self._exposures.pop()
        if self._exposures and now - self._exposures[-1][0] < EPSILON:
            return
        if not self._exposures or self._drop <= 0 or self._chance(now) >= self._drop:
            self._exposures.append((now, self.take()))

    def read(self, name: str, max_age: float) -> Frame:
        """The newest picture that has arrived. Raises `TimeoutError` when it is older than `max_age` (s)."""
        self.expose()
        now = self.clock.now()
        arrived = now - self._delay + EPSILON
        stamp, instant = next((e for e in reversed(self._exposures) if e[0] <= arrived), self._exposures[0])
        if now - stamp > max_age + EPSILON:
            raise TimeoutError(f"the newest picture of {name} is {now - stamp:.3f} s old, over {max_age:.3f} s")
        if self._drawn[0] is not instant:
            pictures = self.renderer.draw(instant, self.size, seed=self._number(stamp))
            self._drawn = instant, {key: Frame(stamp, picture.rgb) for key, picture in pictures.items()}
        return self._drawn[1][name]

    def _number(self, stamp: float) -> int:
        """A number for this episode's moment: the same moment has the same noise however it was reached."""
        return (self._seed * 1_000_003 + 16 * round(stamp * 1000)) % 2**31

    def _chance(self, stamp: float) -> float:
        return float(np.random.default_rng(self._number(stamp)).random())


class SimCamera:
    """One camera of a rig."""

    def __init__(self, rig: Rig, name: str) -> None:
        self._rig, self.name = rig, name

    def read(self, max_age: float) -> Frame:
        """See `robot.interfaces.Camera`."""
        return self._rig.read(self.name, max_age)
