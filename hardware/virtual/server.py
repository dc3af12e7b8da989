"""Keeps virtual servos in step with the wall clock and carries bytes between them and a pseudo-terminal."""

from __future__ import annotations

import logging
import select
from collections.abc import Callable
from typing import Any

from hardware.virtual.bus import VirtualBus
from hardware.virtual.control import Control
from hardware.virtual.line import Burst
from hardware.virtual.pty import PtyLine
from robot.clock import WallClock
from robot.injection import Kind

LOG = logging.getLogger(__name__)
SPIN = 2.5e-4  # s before a deadline from which sleeping would overshoot
GAP = 1e-3  # s; bursts closer than this are handed over together, at the end of the last
TICK_COST = 8e-4  # s
PUT_OFF = 0.01  # s that a tick may be put off for the sake of an answer
AT_ONCE = 4  # ticks lived through between two looks at the line
LAG = 0.25  # s behind the wall clock from which missed time is skipped instead of caught up


class Server:
    """One loop for line, servos and control socket. `each` is called once a round with the time (s)."""

    def __init__(self, bus: VirtualBus, line: PtyLine, control: Control,
                 each: Callable[[float], None] = lambda now: None) -> None:
        self.bus, self.rig, self.line, self.control = bus, bus.rig, line, control
        self._each, self._clock = each, WallClock()
        self._outbox: list[tuple[float, bytes]] = []  # when the last byte is here (s), and the bytes
        self.late = 0.0  # s, the most that the servos were behind the wall clock
        self.stopping = False

    def run(self) -> None:
        """Serve until `stopping`."""
        self.rig.start(self._clock.now())
        while not self.stopping:
            self._round()

    def _round(self) -> None:
        due = self.rig.origin + (self.rig.ticks + 1) * self.rig.period
        if self._outbox:
            due = min(due, self._outbox[0][0] - SPIN)
        wanted: list[Any] = [*self.control.fds]
        if self.line.fd >= 0:
            wanted.append(self.line.fd)
        looked = self._clock.now()
        ready = select.select(wanted, [], [], min(max(0.0, due - looked), 0.05))[0]
        if self.line.fd in ready and (data := self.line.read()):
            # sent earlier than it is heard by what a terminal takes, but not before the line was looked at
            self._hear(data, max(looked, self._clock.now() - self.line.hearing))
        self._deliver()
        now = self._clock.now()
        # a tick may take as long as is left until the next answer is due; the answer comes first
        if not self._outbox or self._outbox[0][0] - now > TICK_COST or now - self.rig.now > PUT_OFF:
            self._catch_up(now)
        self._cable()
        if len(ready) > (self.line.fd in ready):
            self.control.serve(ready)
        self._each(now)

    def _hear(self, data: bytes, at: float) -> None:
        """Let the servos hear `data`, sent at `at` (s); their answers wait until their last byte would be here."""
        pending: list[Burst] = []
        for burst in [*self.bus.receive(data, at, self.line.baud), None]:
            if pending and (burst is None or burst.start > pending[-1].end + GAP):
                self._outbox.append((pending[-1].end, b"".join(b.data for b in pending)))
                pending = []
            if burst is not None:
                pending.append(burst)
        self._outbox.sort(key=lambda item: item[0])

    def _deliver(self) -> None:
        """Hand over what is due; sleeping would overshoot by as much as an answer takes, so the end is spun."""
        while self._outbox and self._outbox[0][0] - self._clock.now() < SPIN:
            end, data = self._outbox.pop(0)
            while self._clock.now() < end - self.line.speaking:
                pass
            self.line.write(data)

    def _catch_up(self, now: float) -> None:
        lag = now - self.rig.now - self.rig.period
        self.late = max(self.late, lag)
        if lag > LAG:
            LOG.warning("the virtual servos were %.2f s behind real time; that time is skipped", lag)
            self.rig.skip(now - self.rig.period)
        self.rig.advance(min(now, self.rig.now + AT_ONCE * self.rig.period))

    def _cable(self) -> None:
        unplugged = ("adapter", Kind.OFF) in self.rig.effects.line
        if unplugged and self.line.fd >= 0:
            self.line.unplug()
        elif not unplugged and self.line.fd < 0:
            self.line.plug()
