"""The bench's cameras: a process of its own redraws the scene, so that pictures never hold up the servo line."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from hardware.virtual import frames
from hardware.virtual.families import model_of
from hardware.virtual.frames import FrameWriter
from robot import registry
from robot.clock import WallClock
from robot.errors import BusError, SteadyhandError
from robot.injection import Kind
from robot.interfaces import Image

CameraFaults = Mapping[str, tuple[Kind, float]]
START = 60.0  # s that the first picture may take


class Studio:
    """Hands poses of the world to the process that draws them, one set at a time."""

    def __init__(self, config: Mapping[str, Any], world: Any, path: Path, settings: Any) -> None:
        """`path`: the frame file to publish. Raises `BusError` when the drawing process does not start."""
        self._world, self._period = world, 1.0 / settings.camera_rate
        self._next, self._busy, self._path = 0.0, False, path
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=draw, args=(dict(config), path, settings.seed, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._expect_ready()
        self.names = tuple(frames.cameras(path))  # of the cameras

    def shoot(self, now: float, faults: CameraFaults) -> None:
        """Send what there is to see, if it is time and the last picture is done."""
        if self._busy and self._pipe.poll():
            self._pipe.recv()
            self._busy = False
        if not self._busy and now >= self._next:
            self._pipe.send((now, self._world.poses(), dict(faults)))
            self._busy, self._next = True, max(self._next + self._period, now)

    def reset(self, seed: int) -> None:
        """Build the scene of `seed` over there too, and wait until it stands."""
        if self._busy:
            self._pipe.recv()
        self._pipe.send(seed)
        self._busy = False
        self._expect_ready()

    def _expect_ready(self) -> None:
        try:
            said = self._pipe.recv() if self._pipe.poll(START) else f"nothing for {START:.0f} s"
        except (EOFError, OSError):
            said = "their process ended; look at the lines before this one"
        if said != "ready":
            raise BusError(f"the virtual cameras do not work: {said}")

    def close(self) -> None:
        self._pipe.close()
        self._process.join(2.0)
        if self._process.is_alive():
            self._process.terminate()
        self._path.unlink(missing_ok=True)


def draw(config: Mapping[str, Any], path: Path, seed: int, pipe: Connection) -> None:
    """The drawing process: until the pipe closes."""
    os.nice(5)  # the servo line comes first
    try:
        world = registry.assemble(config, "world", model=model_of(config))
        world.reset(seed)
        pictures = world.draw(world.poses())
        writer = FrameWriter(path, {name: rgb.shape[:2] for name, rgb in pictures.items()})
    except SteadyhandError as error:
        pipe.send(str(error))
        return
    lens = Lens(seed)
    pipe.send("ready")
    faults: CameraFaults = {}

    def shoot(stamp: float, poses: Any) -> None:
        for name, rgb in world.draw(poses).items():
            seen = lens.through(name, rgb, stamp, faults)
            if seen is not None:
                writer.put(name, *seen)

    while True:
        try:
            order = pipe.recv()
            if isinstance(order, int):
                world.reset(order)
                shoot(WallClock().now(), world.poses())  # before anybody goes on: no picture of the old scene is newest
                pipe.send("ready")
                continue
            stamp, poses, faults = order
            shoot(stamp, poses)
            pipe.send("done")
        except (EOFError, OSError, KeyboardInterrupt):
            return


class Lens:
    """What camera faults make of pictures."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._last: dict[str, Image] = {}
        self._delayed: dict[str, list[tuple[float, Image]]] = {}
        self._clock = WallClock()

    def through(self, name: str, rgb: Image, stamp: float, faults: CameraFaults) -> tuple[Image, float] | None:
        """The picture (H, W, 3) and the stamp it is published with; None when there is none."""
        kind, value = faults.get(name) or faults.get("") or (None, 0.0)
        if kind is Kind.OFF:
            return None
        if kind is Kind.STUCK:
            return self._last.setdefault(name, rgb), stamp
        self._last[name] = rgb
        if kind is Kind.GARBAGE:
            return self._rng.integers(0, 256, rgb.shape, dtype=np.uint8), stamp
        if kind is Kind.WRONG:
            return np.zeros_like(rgb), stamp
        if kind is Kind.SLOW:
            queue = self._delayed.setdefault(name, [])
            queue.append((stamp, rgb))
            while len(queue) > 1 and queue[1][0] <= stamp - value:
                queue.pop(0)
            return (queue[0][1], queue[0][0]) if queue[0][0] <= stamp - value else None
        self._delayed.pop(name, None)
        return rgb, stamp
