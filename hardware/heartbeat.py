"""The words that the control loop and its watchdog share: beats, the fence, and what the watchdog is doing.

One memory-mapped file of 64-bit words, each written by one side only. A beat costs a microsecond. Every write to
the servo bus first looks at the fence: once the watchdog has raised it, this process may not touch the arm.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

import numpy as np

from hardware.port import find_port
from robot.clock import WallClock
from robot.errors import ArmError, BusError, DataError
from robot.interfaces import Clock, Port

MAGIC = 0x53544459_0001


class Word(IntEnum):
    """Where each word lies, and who writes it."""

    MAGIC = 0
    BEAT = 1  # control: grows by one a cycle
    ARMED = 2  # control: 1 while the arm has torque
    SURRENDER = 3  # control: 1 asks the watchdog to take over now
    GOODBYE = 4  # control: 1 means that the work is over and the arm is limp
    FENCE = 5  # watchdog: 1 forbids the control process to write to the bus
    WATCH = 6  # watchdog: grows by one a look
    STAGE = 7  # watchdog: a `Stage`
    GRACE = 8  # control: 1 while something bounded, such as opening the port again, keeps it from beating


class Stage(IntEnum):
    """What the watchdog is doing."""

    STARTING = 0
    WATCHING = 1
    HOLDING = 2
    PARKING = 3
    LIMP = 4
    STUCK = 5  # it could not park and holds, or the bus is gone


class TakenOver(ArmError):
    """The watchdog has the arm; this process must leave it alone."""


class Words:
    """The shared words, from either side."""

    def __init__(self, path: Path, create: bool = False) -> None:
        """Raises `DataError` when `path` holds no such words."""
        size = 8 * len(Word)
        if create:
            path.write_bytes(np.array([MAGIC] + [0] * (len(Word) - 1), np.int64).tobytes())
        try:
            with path.open("r+b") as file:
                self._memory = mmap.mmap(file.fileno(), size)
        except (OSError, ValueError) as error:
            raise DataError(f"no heartbeat at {path}: {error}") from error
        self.path = path
        self._words = memoryview(self._memory).cast("q")
        if self._words[Word.MAGIC] != MAGIC:
            raise DataError(f"{path} holds no heartbeat of this version")

    def __getitem__(self, word: Word) -> int:
        return self._words[word]

    def __setitem__(self, word: Word, value: int) -> None:
        self._words[word] = value


class Heartbeat:
    """The control loop's side: beat once a cycle, arm while there is torque."""

    def __init__(self, words: Words, clock: Clock | None = None) -> None:
        self.words, self._clock = words, clock or WallClock()
        self._watch, self._seen = -1, self._clock.now()

    @property
    def stage(self) -> Stage:
        return Stage(self.words[Word.STAGE])

    @property
    def fenced(self) -> bool:
        return self.words[Word.FENCE] != 0

    def arm(self) -> None:
        """From here on a missing beat means that the watchdog takes over."""
        self.words[Word.BEAT] += 1
        self.words[Word.ARMED] = 1

    def disarm(self) -> None:
        self.words[Word.ARMED] = 0

    def beat(self) -> float:
        """One cycle done; returns how long ago (s) the watchdog showed itself. Raises `TakenOver`."""
        if self.fenced:
            raise TakenOver("the watchdog has taken over the arm and holds or parks it; start again when it is done")
        self.words[Word.BEAT] += 1
        now, watch = self._clock.now(), self.words[Word.WATCH]
        if watch != self._watch:
            self._watch, self._seen = watch, now
        return now - self._seen

    @contextmanager
    def grace(self) -> Iterator[None]:
        """Within this block the watchdog allows for `watchdog.GRACE` s between beats: the arm stands still."""
        self.words[Word.GRACE] = 1
        try:
            yield
        finally:
            self.words[Word.BEAT] += 1
            self.words[Word.GRACE] = 0

    def surrender(self) -> None:
        """Give the arm to the watchdog, as after an error that leaves no other way."""
        self.words[Word.SURRENDER] = 1

    def goodbye(self) -> None:
        """The arm is limp and the work over: the watchdog may end."""
        self.words[Word.ARMED] = 0
        self.words[Word.GOODBYE] = 1


class FencedPort:
    """A `Port` that this process may write to only while the watchdog lets it."""

    def __init__(self, port: Port, words: Words) -> None:
        self._port, self._words, self.name = port, words, port.name

    @property
    def baud(self) -> int:
        return self._port.baud

    @baud.setter
    def baud(self, value: int) -> None:
        self._port.baud = value

    def write(self, data: bytes) -> None:
        """Raises `BusError` once the watchdog has taken over."""
        if self._words[Word.FENCE]:
            raise BusError(f"port {self.name}: the watchdog has taken over the arm")
        self._port.write(data)

    def read(self, size: int, deadline: float) -> bytes:
        return self._port.read(size, deadline)

    def drain(self) -> bytes:
        return self._port.drain()

    def close(self) -> None:
        self._port.close()


class SharedPort:
    """A second handle on a line that another process has open and set up: no lock, no settings of its own.

    One that was unplugged since is opened again: under its name, or where the adapter with the serial number `usb`
    came back.
    """

    def __init__(self, name: str, baud: int, clock: Clock | None = None, usb: str = "") -> None:
        """Raises `BusError` when there is no such line."""
        self.name, self.baud, self.usb = name, baud, usb
        self._clock = clock or WallClock()
        self._fd = self._open()

    def _open(self) -> int:
        if self.usb and not os.path.exists(self.name):
            self.name = find_port(self.usb)
        try:
            return os.open(self.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise BusError(f"port {self.name} cannot be opened by the watchdog: {error.strerror}") from error

    def write(self, data: bytes) -> None:
        """Raises `BusError` when the line is gone or takes no more."""
        try:
            sent = os.write(self._fd, data)
        except BlockingIOError as error:
            raise BusError(f"port {self.name} takes no more bytes") from error
        except OSError:
            self.close()
            self._fd = self._open()
            sent = self._again(data)
        if sent < len(data):
            raise BusError(f"port {self.name} takes no more bytes")

    def _again(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except OSError as error:
            raise BusError(f"port {self.name} is gone ({error.strerror})") from error

    def read(self, size: int, deadline: float) -> bytes:
        """Up to `size` bytes as soon as there are any, waiting until `deadline` (s)."""
        while True:
            try:
                data = os.read(self._fd, size)
            except BlockingIOError:
                data = b""
            except OSError as error:
                raise BusError(f"port {self.name} is gone ({error.strerror})") from error
            now = self._clock.now()
            if data or now >= deadline:
                return data
            self._clock.wait(min(deadline, now + 0.0005))

    def drain(self) -> bytes:
        out = b""
        while chunk := self.read(4096, 0.0):
            out += chunk
        return out

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
