"""Self-test of cameras: do pictures come, how old are they, do they change, and can one see something on them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping

import numpy as np

from hardware.selftest.joints import Session
from hardware.selftest.sheet import Sheet
from robot.interfaces import Camera, Clock, Frame

WATCH = 2.5  # s
LOOK = 0.02  # s between two looks
OLDEST = 5.0  # s
SLOWEST = 5.0  # Hz
FROZEN = 4  # identical pictures in a row
DARK, BRIGHT, FLAT = 12.0, 243.0, 6.0  # mean and spread of levels
TURN = 0.25  # rad that the arm turns while the cameras are watched


class Watch:
    """Looks at every camera now and then, and remembers each new picture."""

    def __init__(self, cameras: Mapping[str, Camera], clock: Clock) -> None:
        self.cameras, self.clock = cameras, clock
        self.frames: dict[str, list[Frame]] = {name: [] for name in cameras}
        self.ages: dict[str, list[float]] = {name: [] for name in cameras}
        self.began = clock.now()

    def look(self) -> None:
        for name, camera in self.cameras.items():
            try:
                frame = camera.read(OLDEST)
            except TimeoutError:
                continue
            self.ages[name].append(self.clock.now() - frame.stamp)
            if not self.frames[name] or frame.stamp != self.frames[name][-1].stamp:
                self.frames[name].append(frame)

    def judge(self, sheet: Sheet, moved: bool) -> None:
        """Fill in the camera lines. `moved`: the arm moved, so that pictures had to change."""
        took = self.clock.now() - self.began
        rates = {name: len(frames) / took for name, frames in self.frames.items()}
        slow = {name for name, rate in rates.items() if rate < SLOWEST}
        words = ", ".join(f"{name} {rate:.1f} Hz" for name, rate in rates.items())
        sheet.state("camera/pictures", not slow, words, values=rates)
        seen = {name: frames for name, frames in self.frames.items() if name not in slow}
        sheet.number("camera/age", {n: float(np.percentile(self.ages[n], 90)) for n in seen})
        dull = {name: words for name, frames in seen.items() if (words := _exposure(frames))}
        repeats = {name: _repeats(frames) for name, frames in seen.items() if name not in dull}
        frozen = [name for name, count in repeats.items() if count >= FROZEN]
        if moved:
            sheet.state("camera/freeze", not frozen, ", ".join(frozen) or "pictures change as the arm moves")
        else:
            sheet.skip("camera/freeze", "cannot be told while nothing moves")
        lit = {name: frames for name, frames in seen.items() if name not in frozen}
        sheet.number("camera/noise", {name: _noise(frames) for name, frames in lit.items()})
        words = "; ".join(f"{name} {why}" for name, why in dull.items())
        sheet.state("camera/exposure", not dull, words or "light and contrast are fine")


def watch_moving(cameras: Mapping[str, Camera], session: Session, sheet: Sheet) -> None:
    """Watch the cameras while the arm turns to either side."""
    if not cameras:
        sheet.skip_rest("no camera is configured", ("camera",))
        return
    watch, centre = Watch(cameras, session.clock), session.guard.goal
    session.each = watch.look
    for side in (TURN, -TURN, TURN, 0.0):
        q = centre.copy()
        q[0] = np.clip(centre[0] + side, session.model.spec.lower[0], session.model.spec.upper[0])
        session.go(q, 0.1)
    session.each = lambda: None
    watch.judge(sheet, moved=True)


def watch_still(cameras: Mapping[str, Camera], clock: Clock, sheet: Sheet) -> None:
    """Watch the cameras while nothing moves."""
    if not cameras:
        sheet.skip_rest("no camera is configured", ("camera",))
        return
    watch = Watch(cameras, clock)
    while clock.now() - watch.began < WATCH:
        watch.look()
        clock.wait(clock.now() + LOOK)
    watch.judge(sheet, moved=False)


def _repeats(frames: list[Frame]) -> int:
    """The longest run of identical pictures under new stamps."""
    longest = run = 1
    before = b""
    for frame in frames:
        digest = hashlib.blake2b(frame.rgb.tobytes(), digest_size=16).digest()
        run = run + 1 if digest == before else 1
        longest, before = max(longest, run), digest
    return longest


def _noise(frames: list[Frame]) -> float:
    """Mean difference of levels between one picture and the next."""
    pairs = itertools.pairwise(frames)
    change = [np.abs(a.rgb.astype(np.int16) - b.rgb.astype(np.int16)).mean() for a, b in pairs]
    return float(np.median(change)) if change else 0.0


def _exposure(frames: list[Frame]) -> str:
    """What is wrong with the light, "" when nothing."""
    levels = np.array([(f.rgb.mean(), f.rgb.std()) for f in frames[-10:]])
    if not len(levels):
        return ""
    mean, spread = np.median(levels, axis=0)
    if mean < DARK:
        return f"is dark ({mean:.0f} of 255)"
    if mean > BRIGHT:
        return f"is overexposed ({mean:.0f} of 255)"
    return f"has no contrast ({spread:.1f} levels)" if spread < FLAT else ""
