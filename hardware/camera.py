"""Cameras on this machine: a thread each that always holds the newest picture, and reopens what fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import cv2
import numpy as np

from robot.clock import WallClock
from robot.errors import ConfigError
from robot.interfaces import Camera, Clock, Frame, Image
from robot.registry import option

LOG = logging.getLogger(__name__)
RETRY = 1.0  # s, between two attempts to open a camera
MISSES = 10  # failed reads in a row, after which a camera is opened again


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that is used."""

    def isOpened(self) -> bool: ...
    def read(self) -> tuple[bool, Any]: ...
    def release(self) -> None: ...


class OpenCVCamera:
    """A camera behind a reader thread. `connect` opens the device; `size` (px) is what `read` returns, 0 for whole
    pictures.

    The stamp of a frame is taken when the driver hands it over, so it does not know of delays before that.
    """

    def __init__(self, name: str, connect: Callable[[], Capture], size: int = 128, clock: Clock | None = None) -> None:
        self.name, self.reopened = name, 0
        self._connect, self._size, self._clock = connect, size, clock or WallClock()
        self._newest: Frame | None = None
        self._arrived = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"camera {name}", daemon=True)
        self._thread.start()

    def read(self, max_age: float) -> Frame:
        """The newest picture, (size, size, 3) or whole. Raises `TimeoutError` when none is younger than `max_age` s.

        Only for the very first picture it waits that long: a camera that fails at work must not hold up the loop
        that asks, or the watchdog would take the arm away from it.
        """
        frame = self._newest
        if frame is None:
            with self._arrived:
                self._arrived.wait_for(lambda: self._newest is not None, timeout=max_age)
                frame = self._newest
        if frame is None:
            raise TimeoutError(f"camera {self.name} has never delivered a picture: check its cable and its number")
        age = self._clock.now() - frame.stamp
        if age > max_age:
            raise TimeoutError(f"camera {self.name}: the newest picture is {age:.2f} s old, more than {max_age:.2f} s")
        return frame

    def close(self) -> None:
        """Stop the thread and let go of the device; may be called twice."""
        self._stopped.set()
        self._thread.join(timeout=5.0)

    def _loop(self) -> None:
        while not self._stopped.is_set():
            device = self._connect()
            if device.isOpened():
                self._deliver(device)
            else:
                LOG.debug("camera %s cannot be opened", self.name)
            device.release()
            if not self._stopped.wait(RETRY):
                self.reopened += 1

    def _deliver(self, device: Capture) -> None:
        """Take pictures until the camera stops giving any."""
        misses = 0
        while misses < MISSES and not self._stopped.is_set():
            good, picture = device.read()
            if not good or picture is None:
                misses += 1
                self._stopped.wait(0.02)
                continue
            misses = 0
            frame = Frame(self._clock.now(), square(picture, self._size))
            with self._arrived:
                self._newest = frame
                self._arrived.notify_all()
        if misses:
            LOG.warning("camera %s gives no pictures; opening it again", self.name)


def square(picture: Image, size: int) -> Image:
    """The middle square of a BGR picture as (size, size, 3) RGB; with size 0 all of it, as it is."""
    if size == 0:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = picture[top : top + side, left : left + side]
    return np.asarray(cv2.cvtColor(cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB))


@option("camera", "opencv")
def opencv(
    front: str = "0", wrist: str = "", size: int = 128, width: int = 640, height: int = 480, fps: int = 30,
    clock: Clock | None = None,
) -> Mapping[str, Camera]:
    """Cameras by OpenCV number, device path or stream address; an empty name leaves a camera out.

    `size` px is the side of the middle square that is looked at; 0 hands on whole pictures, which policies trained
    elsewhere may want.
    """
    wanted = {"front": front, "wrist": wrist}
    if not any(wanted.values()):
        raise ConfigError("camera=opencv needs camera.front= or camera.wrist=: a number or a device path")

    def connector(where: str) -> Callable[[], Capture]:
        def connect() -> Capture:
            device = cv2.VideoCapture(int(where) if where.isdigit() else where)
            device.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            device.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
            device.set(cv2.CAP_PROP_FPS, fps)
            device.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            return device

        return connect

    return {name: OpenCVCamera(name, connector(where), size, clock) for name, where in wanted.items() if where}
