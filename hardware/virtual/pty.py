"""A pseudo-terminal behind a symlink: to a client it is a serial port, with a baud rate and a cable to pull."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import threading
import time
import tty
from pathlib import Path

import numpy as np

from robot.errors import BusError

TCGETS2 = 0x802C542A  # Linux: termios with the rates as numbers, so that 1 Mbaud and any other can be told
TERMIOS2 = struct.Struct("IIIIB19sII")
CHUNK = 4096
TRIES = 15  # of timing the terminal itself
LONGEST = 2e-4  # s, the most that is believed of what it takes: longer is a busy computer


class PtyLine:
    """The servos' end of a serial line whose other end is `link`."""

    def __init__(self, link: Path, baud: int) -> None:
        """Raises `BusError` when `link` is something other than a symlink, or cannot be made.

        `baud` is taken for the client's where the system does not tell it.
        """
        self.link, self._default = link, baud
        self._master = self._slave = -1
        self.hearing = 0.0  # s from a client's sending bytes until they are read here, on a computer at rest
        self.speaking = 0.0  # s that handing bytes over takes
        if os.path.lexists(link) and not link.is_symlink():
            raise BusError(f"{link} exists and is not a link; choose another link= or remove it first")
        self.plug()

    @property
    def fd(self) -> int:
        """To wait on; -1 while unplugged."""
        return self._master

    def plug(self) -> None:
        """Make a new terminal and point the link at it, as a re-enumerated adapter would."""
        if self._master >= 0:
            return
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)  # before any client: otherwise bytes are echoed and held back until a newline
        os.set_blocking(self._master, False)
        if not self.hearing:
            self._time()
        aside = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        try:
            aside.unlink(missing_ok=True)
            aside.symlink_to(os.ttyname(self._slave))
            os.replace(aside, self.link)
        except OSError as error:
            self.unplug()
            raise BusError(f"cannot make the link {self.link}: {error.strerror or error}") from error

    def unplug(self) -> None:
        """Take the terminal away under whoever has it open, and the link: its number may soon be another's."""
        self._unlink()
        for fd in (self._master, self._slave):
            if fd >= 0:
                os.close(fd)
        self._master = self._slave = -1

    def read(self) -> bytes:
        """What the client has sent, possibly nothing."""
        try:
            return os.read(self._master, CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise

    def write(self, data: bytes) -> None:
        """Hand bytes to the client; what does not fit into its buffer is lost, as on a real line."""
        try:
            os.write(self._master, data)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EBADF):
                raise

    @property
    def baud(self) -> int:
        """The rate that the client set its port to."""
        if not sys.platform.startswith("linux"):
            return self._default
        try:
            raw = fcntl.ioctl(self._slave, TCGETS2, bytes(TERMIOS2.size))
        except (OSError, termios.error):
            return self._default
        return int(TERMIOS2.unpack(raw)[-1])

    def close(self) -> None:
        """Unplug for good; may be called twice."""
        self.unplug()

    def _time(self) -> None:
        """Measure what the terminal takes, which a wire does not, before a client is there."""
        hearing, speaking = [], []
        for _ in range(TRIES):
            sent: list[float] = []
            client = threading.Thread(target=_send, args=(self._slave, sent))
            client.start()
            heard = select.select([self._master], [], [], 1.0)[0]
            at = time.monotonic()
            client.join()
            if heard:
                self.read()
                hearing.append(at - sent[0])
            start = time.monotonic()
            self.write(b"\0")
            speaking.append(time.monotonic() - start)
        termios.tcflush(self._slave, termios.TCIFLUSH)
        self.hearing = min(float(np.percentile(hearing or [LONGEST], 25)), LONGEST)
        self.speaking = min(float(np.percentile(speaking, 25)), LONGEST)

    def _unlink(self) -> None:
        """Remove the link if it still is ours."""
        try:
            if self._slave >= 0 and os.readlink(self.link) == os.ttyname(self._slave):
                self.link.unlink()
        except OSError:
            return


def _send(terminal: int, sent: list[float]) -> None:
    """One byte, a little later than now, from the client's end; notes when."""
    time.sleep(1e-3)
    sent.append(time.monotonic())
    os.write(terminal, b"\0")
