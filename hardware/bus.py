"""Requests and answers on a servo bus: one result a servo, each with its error byte, and no good reply ever lost.

How long to wait is computed from the bytes' time on the wire and the latency measured so far. What the line still
holds is dropped before each request, so that a late answer is not taken for the next one's.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hardware.latency import LONGEST, Counters, Latency
from hardware.port import BITS
from hardware.protocols import messages
from hardware.protocols.messages import BROADCAST, Codec, Damage, Op, Reply
from hardware.protocols.tables import Register
from robot.errors import BusError
from robot.interfaces import BusStats, Clock, Port

LOG = logging.getLogger(__name__)
OK, SILENT, CORRUPT, DUPLICATE, REFUSED = "", "silent", "corrupt", "duplicate", "refused"
NOBODY = 0xFC  # an id that is never given to a servo, for asking what nobody answers
CHUNK = 512  # bytes asked of the port at once
TORN = 3  # joint packets that did not get through although everyone is there, after which none is asked for
LATE = 0.1  # s, the longest that an answer may come after its request
JOINT = (messages.SyncRead, messages.BulkRead)  # what several servos may answer in one packet


class Result(NamedTuple):
    """What came of asking one servo. `data` is None when nothing good came; `problem` says why."""

    id: int
    data: bytes | None
    error: int = 0  # the servo's error byte; an error never means that data is missing
    problem: str = OK
    took: float = 0.0  # s, from the request's first byte

    @property
    def ok(self) -> bool:
        return self.data is not None


class Bus:
    """One line of servos. Not for use from several threads."""

    def __init__(self, port: Port, codec: Codec, clock: Clock) -> None:
        self.port, self.codec, self.clock = port, codec, clock
        self.latency = Latency()
        self.servos: defaultdict[int, Counters] = defaultdict(Counters)
        self.echo = False
        self.noise = 0  # damaged stretches that no servo can be blamed for
        self.end = 0  # end of the shortest control table on the bus; 0 where not known
        self._gone: set[int] = set()  # who did not answer the last time
        self._torn = 0  # joint packets in a row that lacked servos which then answered alone
        self._late: dict[int, dict[int, float]] = {}  # id -> size of each answer that may yet come, and until when

    # ------------------------------------------------------------ one request
    def request(self, op: Op, retries: int = 0) -> dict[int, Result]:
        """Send `op`; one result for each servo that should answer, in that order.

        Servos that did not are asked again, alone, up to `retries` times. Raises `BusError` when the port is
        gone, or for what this protocol may not send.
        """
        results = self._exchange(op)
        if isinstance(op, JOINT) and op.fast:
            results.update(self._after_gap(op, results))
        for left in range(retries, 0, -1):
            missing = [servo for servo, result in results.items() if result.data is None]
            again = _alone(op, missing)
            if again is None:
                break
            # the last of several attempts outlasts a stall of this computer
            results.update(self._exchange(again, LONGEST if left == 1 < retries else 0.0))
        return results

    def _after_gap(self, op: Op, results: dict[int, Result]) -> dict[int, Result]:
        """In a joint packet nobody can speak after a silent servo: those are asked once more, without one."""
        missing = [servo for servo, result in results.items() if result.data is None]
        again = _alone(op, missing)
        if again is None:
            self._torn = 0
            return {}
        found = self._exchange(again)
        self._torn += all(result.ok for result in found.values())
        if self._torn == TORN:
            LOG.warning("port %s: joint packets do not get through; every servo answers by itself now", self.port.name)
        return found

    def _exchange(self, op: Op, patience: float = 0.0) -> dict[int, Result]:
        op, cut = self._told_apart(op)
        expected = self.codec.expected(op)
        if expected is None:
            raise BusError("there is no telling who answers that; use who()")
        out = self.codec.encode(op)
        if expected or self.echo:  # what nobody answers can leave the line as it is
            self._drain()
        start = self.clock.now()
        self.port.write(out)
        if self.echo:
            self._strip_echo(out)
        if not expected:
            return {}
        heard = self._listen(op, out, expected, start, patience)
        return self._judge(expected, heard, start, cut)

    def _listen(self, op: Op, out: bytes, expected: dict[int, int], start: float, patience: float) -> _Heard:
        """Hear answers until the last servo's has come, after which no other can, or time is up."""
        reader, heard, last = self.codec.reader(expected, op), _Heard(), next(reversed(expected))
        on_wire = (len(out) + self.codec.wire(op)) * BITS / self.port.baud
        deadline = start + on_wire + max(self.latency.bound(len(expected)), patience)
        while data := self.port.read(CHUNK, deadline):
            heard.take(reader.feed(data), self.clock.now())
            if not self.echo and heard.replies and self._echoed(op, out, heard):
                deadline += len(out) * BITS / self.port.baud
            if last in heard.replies:
                break
        if len(heard.replies) < len(expected):
            heard.take(reader.flush(), self.clock.now())
        if len(heard.replies) == len(expected):
            self.latency.learn(len(expected), max(0.0, heard.when - start - on_wire))
        elif not heard.replies and not heard.damage and len(expected) > 1:
            self.latency.back_off()
        return heard

    def _echoed(self, op: Op, out: bytes, heard: _Heard) -> bool:
        """Whether what looked like a reply is our own request; if so, drop it and strip echoes from now on."""
        if isinstance(op, messages.Ping):  # its echo and a flagged answer are the same bytes: probe_echo() tells
            return False
        for servo, reply in list(heard.replies.items()):
            if reply.error and self.codec.encode_reply(reply) == out:
                del heard.replies[servo]
                self.echo = True
                LOG.warning("port %s echoes what it sends; the echo is stripped", self.port.name)
                return True
        return False

    def _judge(self, expected: dict[int, int], heard: _Heard, start: float, cut: int) -> dict[int, Result]:
        """Results and counters out of what was heard; `cut` bytes at the end were only asked to tell replies apart."""
        out, blamed, replies = {}, self._blamed(expected, heard), heard.replies
        for servo, size in expected.items():
            counters = self.servos[servo]
            counters.sent += 1
            if servo not in replies:
                corrupt = servo in blamed
                counters.corrupt += corrupt
                counters.timed_out += not corrupt
                self._gone.add(servo)
                self._late.setdefault(servo, {})[size] = self.clock.now() + LATE
                out[servo] = Result(servo, None, 0, CORRUPT if corrupt else SILENT)
                continue
            _, error, data = replies[servo]
            took, problem = heard.times[servo] - start, OK
            counters.took(took)
            if error:
                counters.flagged += 1
            if servo in heard.twice:
                counters.duplicate += 1
                problem = DUPLICATE
            if len(data) < size:  # an error number instead of data
                out[servo] = Result(servo, None, error, REFUSED, took)
            else:
                out[servo] = Result(servo, data[:-cut] if cut else data, error, problem, took)
        self._gone.difference_update(replies)
        return out

    def _blamed(self, expected: dict[int, int], heard: _Heard) -> set[int]:
        """Whose answers the damage was; what nobody can be blamed for is noise."""
        if not heard.damage:
            return set()
        blamed = {d.id for d in heard.damage}
        self.noise += sum(d.id not in expected for d in heard.damage)
        missing = [servo for servo in expected if servo not in heard.replies]
        return blamed | {missing[0]} if len(missing) == 1 else blamed

    def linger(self, op: Op) -> dict[int, Result]:
        """As `request`, but listening on after the answers, so that a second servo of the same id is heard."""
        expected = self.codec.expected(op) or {}
        out = self.codec.encode(op)
        self._drain()
        start = self.clock.now()
        self.port.write(out)
        if self.echo:
            self._strip_echo(out)
        reader, heard = self.codec.reader(expected, op), _Heard()
        deadline = start + (len(out) + 2 * self.codec.wire(op)) * BITS / self.port.baud + self.latency.bound(1)
        while data := self.port.read(CHUNK, deadline):
            heard.take(reader.feed(data), self.clock.now())
        heard.take(reader.flush(), self.clock.now())
        return self._judge(expected, heard, start, 0)

    # ------------------------------------------------------------ late answers and echoes
    def _told_apart(self, op: Op) -> tuple[Op, int]:
        """`op`, or the same read some bytes longer when an overdue answer would otherwise pass for its own."""
        if not self._late or not isinstance(op, messages.Read | messages.SyncRead):
            return op, 0
        now, overdue = self.clock.now(), {}
        for servo, sizes in self._late.items():
            if alive := {size: until for size, until in sizes.items() if until > now}:
                overdue[servo] = alive
        self._late = overdue
        ids = op.ids if isinstance(op, messages.SyncRead) else (op.id,)
        taken = {size for servo in ids for size in overdue.get(servo, ())}
        size = next(n for n in range(op.size, op.size + len(taken) + 1) if n not in taken)
        if op.address + size > self.end:
            return op, 0
        return op._replace(size=size), size - op.size

    def _drain(self) -> None:
        data = self.port.drain()
        if not data:
            return
        reader = self.codec.reader()
        for item in [*reader.feed(data), *reader.flush()]:
            if not isinstance(item, Reply):
                self.noise += 1
            elif self._late.get(item.id, {}).pop(len(item.data), None) is not None:
                self.servos[item.id].late += 1
            else:
                self.servos[item.id].duplicate += 1

    def _strip_echo(self, out: bytes) -> None:
        """Read our own request back. Raises `BusError` when it comes back changed: then no byte can be trusted."""
        deadline = self.clock.now() + len(out) * BITS / self.port.baud + self.latency.bound(1)
        back = b""
        while len(back) < len(out) and (data := self.port.read(len(out) - len(back), deadline)):
            back += data
        if back != out:
            self.noise += 1
            LOG.debug("the echo of %s came back as %s", out.hex(), back.hex())

    def probe_echo(self) -> bool:
        """Find out whether the adapter sends our own bytes back, by asking a servo that cannot exist."""
        self.echo = False
        self._drain()
        out = self.codec.encode(messages.Ping(NOBODY))
        self.port.write(out)
        deadline = self.clock.now() + len(out) * BITS / self.port.baud + self.latency.bound(1)
        back = b""
        while len(back) < len(out) and (data := self.port.read(len(out) - len(back), deadline)):
            back += data
        self.echo = back == out
        return self.echo

    # ------------------------------------------------------------ what one mostly wants
    def ping(self, servo: int, retries: int = 1) -> Result:
        return self.request(messages.Ping(servo), retries)[servo]

    def who(self, ids: Iterable[int], retries: int = 1) -> list[int]:
        """Which of `ids` answer."""
        return [servo for servo in ids if self.ping(servo, retries).ok]

    def read(self, servo: int, address: int, size: int, retries: int = 2) -> Result:
        return self.request(messages.Read(servo, address, size), retries)[servo]

    def write(self, servo: int, address: int, data: bytes, retries: int = 2) -> Result:
        """Write and await the acknowledgement. To `BROADCAST` nobody acknowledges."""
        results = self.request(messages.Write(servo, address, data), retries)
        return results.get(servo, Result(servo, b""))

    def reg_write(self, servo: int, address: int, data: bytes) -> Result:
        """A write that waits for `action`. Not repeated."""
        return self.request(messages.RegWrite(servo, address, data))[servo]

    def action(self) -> None:
        """Let everyone carry out what `reg_write` left waiting."""
        self.request(messages.Action(BROADCAST))

    def sync_read(self, ids: Sequence[int], address: int, size: int, retries: int = 0) -> dict[int, Result]:
        """One block of each servo; in one exchange where the protocol can, and in one packet if all answered before."""
        if self.codec.sync:
            fast = self.codec.fast and self._torn < TORN and self._gone.isdisjoint(ids)
            return self.request(messages.SyncRead(tuple(ids), address, size, fast), retries)
        return {servo: self.read(servo, address, size, retries) for servo in ids}

    def sync_write(self, address: int, rows: Sequence[tuple[int, bytes]]) -> None:
        """The same registers of several servos at once; nobody acknowledges."""
        if self.codec.sync_write:
            self.request(messages.SyncWrite(address, tuple(rows)))
            return
        for servo, data in rows:
            self.write(servo, address, data, 0)

    def bulk_read(self, rows: Sequence[tuple[int, int, int]], retries: int = 0) -> dict[int, Result]:
        """A block of its own of each servo, rows of (id, address, size); in one exchange where the protocol can."""
        if self.codec.fast:
            return self.request(messages.BulkRead(tuple(rows)), retries)
        return {servo: self.read(servo, address, size, retries) for servo, address, size in rows}

    def bulk_write(self, rows: Sequence[tuple[int, int, bytes]]) -> None:
        """Registers of each servo's own, rows of (id, address, data); nobody acknowledges where the protocol can."""
        if self.codec.fast:
            self.request(messages.BulkWrite(tuple(rows)))
            return
        for servo, address, data in rows:
            self.write(servo, address, data, 0)

    def get(self, servo: int, register: Register, retries: int = 2) -> int | None:
        """A register's counts; None when the servo does not answer."""
        result = self.read(servo, register.address, register.size, retries)
        return None if result.data is None else register.decode(result.data)

    def put(self, servo: int, register: Register, counts: int, tries: int = 3) -> bool:
        """Write a register and read it back; whether it then holds `counts`.

        Servos ignore some writes without a word, so only reading back tells.
        """
        data = register.encode(counts)
        for _ in range(tries):
            self.write(servo, register.address, data)
            if self.read(servo, register.address, register.size).data == data:
                return True
        return False

    def scan(self, bauds: Iterable[int], ids: Iterable[int]) -> dict[int, list[int]]:
        """Who answers at which baud rate; the port is left at the rate it had."""
        before, wanted, out = self.port.baud, list(ids), {}
        try:
            for baud in bauds:
                self.port.baud = baud
                found = self.who(wanted, 0)
                if found:
                    out[baud] = found
        finally:
            self.port.baud = before
            self._drain()
        return out

    @property
    def stats(self) -> BusStats:
        sent = answered = timed_out = corrupt = 0
        for counters in self.servos.values():
            sent += counters.sent
            answered += counters.answered
            timed_out += counters.timed_out
            corrupt += counters.corrupt
        return BusStats(sent=sent, answered=answered, timed_out=timed_out, corrupt=corrupt + self.noise)


class _Heard:
    """What came in during one exchange."""

    def __init__(self) -> None:
        self.replies: dict[int, Reply] = {}
        self.times: dict[int, float] = {}
        self.twice: set[int] = set()
        self.damage: list[Damage] = []
        self.when = 0.0

    def take(self, items: list[Reply | Damage], now: float) -> None:
        for item in items:
            if isinstance(item, Damage):
                self.damage.append(item)
            elif item.id in self.replies:
                self.twice.add(item.id)
            else:
                self.replies[item.id] = item
                self.times[item.id] = self.when = now


def _alone(op: Op, missing: list[int]) -> Op | None:
    """How to ask only those servos again; None when there is no need, or it must not be repeated."""
    if not missing:
        return None
    match op:
        case messages.SyncRead(_, address, size):
            if len(missing) == 1:
                return messages.Read(missing[0], address, size)
            return op._replace(ids=tuple(missing), fast=False)
        case messages.BulkRead(rows):
            return op._replace(rows=tuple(row for row in rows if row[0] in missing), fast=False)
        case messages.Ping() | messages.Read() | messages.Write():
            return op
    return None
