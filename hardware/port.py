"""Serial lines: a real one over pyserial, and a loop-back that a function answers, for tests in virtual time."""

from __future__ import annotations

import errno
import logging
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import serial
from serial.tools import list_ports

from robot.clock import WallClock
from robot.errors import BusError
from robot.interfaces import Clock

if sys.platform == "win32":
    _GONE: tuple[type[Exception], ...] = (serial.SerialException, OSError)
else:
    import termios

    _GONE = (serial.SerialException, OSError, termios.error)

LOG = logging.getLogger(__name__)
BITS = 10  # on the wire for one byte: start, eight, stop


class SerialPort:
    """A serial line on this machine. Whatever goes wrong with it is one `BusError` with its name."""

    def __init__(self, name: str, baud: int = 1_000_000, clock: Clock | None = None) -> None:
        self.name = name
        self._clock = clock or WallClock()
        self._serial: Any = _open(name, baud)
        self._fd = -1 if sys.platform == "win32" else int(self._serial.fileno())
        _ask(name, "low-latency mode, so bytes may wait in its driver",
             lambda: self._serial.set_low_latency_mode(True))
        _ask(name, "RTS line, which some adapters take their direction from",
             lambda: setattr(self._serial, "rts", True))

    @property
    def baud(self) -> int:
        return int(self._serial.baudrate)

    @baud.setter
    def baud(self, value: int) -> None:
        try:
            self._serial.baudrate = value
        except (*_GONE, ValueError) as error:
            raise BusError(f"port {self.name} cannot be set to {value} baud: {error}") from error

    def write(self, data: bytes) -> None:
        """Hand all of `data` to the operating system. Raises `BusError` when the port is gone or stuck."""
        try:
            if self._fd < 0:
                self._serial.write(data)
                return
            sent = os.write(self._fd, data)
            while sent < len(data):
                if not select.select([], [self._fd], [], 0.5)[1]:
                    raise BusError(f"port {self.name} takes no more bytes: its other end is stuck")
                sent += os.write(self._fd, data[sent:])
        except (*_GONE, ValueError) as error:
            raise self._lost(error) from error

    def read(self, size: int, deadline: float) -> bytes:
        """Up to `size` bytes as soon as there are any, waiting until `deadline` (s, the port's clock)."""
        try:
            remaining = max(0.0, deadline - self._clock.now())
            if self._fd < 0:
                self._serial.timeout = remaining
                first = self._serial.read(1)
                return bytes(first + self._serial.read(min(size - 1, self._serial.in_waiting)))
            if not select.select([self._fd], [], [], remaining)[0]:
                return b""
            data = os.read(self._fd, size)
        except BlockingIOError:
            return b""
        except (*_GONE, ValueError) as error:
            raise self._lost(error) from error
        if not data:
            raise self._lost(OSError(errno.EIO, "end of file"))
        return data

    def drain(self) -> bytes:
        """Drop and return whatever is waiting to be read."""
        out = b""
        while chunk := self.read(4096, self._clock.now()):
            out += chunk
        return out

    def close(self) -> None:
        """Let go of the port; may be called twice, and after it is gone."""
        try:
            self._serial.close()
        except _GONE as error:
            LOG.debug("closing %s: %s", self.name, error)
        self._fd = -1

    def _lost(self, error: Exception) -> BusError:
        return BusError(f"port {self.name} is gone ({error}): check the USB cable and the adapter's power")


def _open(name: str, baud: int) -> Any:
    try:
        return serial.Serial(name, baud, timeout=0, write_timeout=0.5, exclusive=sys.platform != "win32" or None)
    except (*_GONE, ValueError) as error:
        raise BusError(f"port {name} {_why(name, error)}") from error


def _why(name: str, error: Exception) -> str:
    code, text = getattr(error, "errno", None), str(error)
    if code == errno.ENOENT or "FileNotFoundError" in text or (not Path(name).exists() and name.startswith("/")):
        there = ", ".join(sorted(p.device for p in list_ports.comports()))
        return f"does not exist: check the USB cable and port=; there are: {there or 'none'}"
    if code == errno.EACCES or "PermissionError" in text or "Permission denied" in text:
        return "may not be opened: add yourself to the group that owns it (Linux: dialout) and log in again"
    if code in (errno.EBUSY, errno.EAGAIN) or "lock" in text or "Access is denied" in text:
        return "is busy: another program holds it; close that program first"
    return f"cannot be opened: {error}"


def _ask(name: str, what: str, ask: Callable[[], None]) -> None:
    """Ask for something that not every port has; one that lacks it is logged, not refused."""
    try:
        ask()
    except (*_GONE, AttributeError, ValueError, NotImplementedError) as error:
        LOG.info("port %s has no %s (%s)", name, what, error)


def find_port(serial_number: str) -> str:
    """The device name of the adapter with that USB serial number, wherever it was plugged in.

    Raises `BusError` that lists the adapters there are.
    """
    known = {p.serial_number: str(p.device) for p in list_ports.comports() if p.serial_number}
    if serial_number not in known:
        there = ", ".join(f"{number} at {device}" for number, device in sorted(known.items()))
        raise BusError(f"no adapter has USB serial number {serial_number!r}; there are: {there or 'none'}")
    return known[serial_number]


def serial_number(name: str) -> str | None:
    """The USB serial number of the adapter behind a device name; None when it has none."""
    real = os.path.realpath(name)
    for port in list_ports.comports():
        if port.device in (name, real):
            return port.serial_number or None
    return None


class LoopbackPort:
    """A line whose other end is a function: bytes written are answered by `answer(bytes)`.

    It takes the time that the bytes would take, on `clock`: what was answered becomes readable byte by byte
    at `baud` after `delay` (s). With a `SimClock` nothing really waits.
    """

    def __init__(self, answer: Callable[[bytes], bytes], clock: Clock, baud: int = 1_000_000,
                 delay: float = 0.0, name: str = "loopback") -> None:
        self.name, self.baud = name, baud
        self._answer, self._clock, self._delay = answer, clock, delay
        self._queue: list[tuple[float, int]] = []  # when each byte has arrived (s), and the byte
        self._free = 0.0  # when the line falls silent (s)

    def write(self, data: bytes) -> None:
        start = max(self._clock.now(), self._free)
        done = start + len(data) * BITS / self.baud
        reply = self._answer(data)
        byte = BITS / self.baud
        first = done + self._delay
        self._queue += [(first + (k + 1) * byte, value) for k, value in enumerate(reply)]
        self._free = first + len(reply) * byte if reply else done

    def read(self, size: int, deadline: float) -> bytes:
        now = self._clock.now()
        if not self._queue or self._queue[0][0] > max(now, deadline):
            self._clock.wait(deadline)
            return b""
        until = max(now, min(self._queue[min(size, len(self._queue)) - 1][0], deadline))
        self._clock.wait(until)
        return self._take(size)

    def _take(self, size: int) -> bytes:
        now, count = self._clock.now() + 1e-12, 0
        while count < min(size, len(self._queue)) and self._queue[count][0] <= now:
            count += 1
        out = bytes(value for _, value in self._queue[:count])
        del self._queue[:count]
        return out

    def drain(self) -> bytes:
        return self._take(len(self._queue))

    def close(self) -> None:
        self._queue.clear()
