"""Virtual servos on one wire; time is passed in, so it runs in real time or as fast as it can."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

from hardware.protocols import dynamixel2
from hardware.protocols.messages import BROADCAST, BulkRead, Damage, Op, Ping, Read, Reply, SyncRead
from hardware.protocols.models import codec
from hardware.virtual import line
from hardware.virtual.line import Burst
from hardware.virtual.rig import Rig, Unit
from hardware.virtual.servo import Firmware
from robot.clock import SimClock
from robot.errors import BusError
from robot.injection import Kind
from robot.interfaces import Clock

SILENCE = 5e-4  # s between two bytes, after which a header begins a new request
FORGET = 0.1  # s between two bytes, after which servos expect a new request (ROBOTIS e-manual)
SPOILT = ("checksum", "CRC")  # of a request that is whole otherwise, so that a servo may complain


class VirtualBus:
    """The wire between a client and the servos of a `Rig`."""

    def __init__(self, rig: Rig, protocol: str, echo: bool = False) -> None:
        """`echo`: the adapter hears itself, as half-duplex ones without a direction switch do."""
        self.rig, self.echo = rig, echo
        self._codec = codec(protocol)
        self._listener = self._codec.listener()
        self._header = self._codec.encode(Ping(1))[:2]
        self._sent = 0.0  # when the client's last byte is out (s)
        self._coming: list[Burst] = []  # answers that are still to come

    def receive(self, data: bytes, at: float, baud: int) -> list[Burst]:
        """Bytes that a client sent at `at` (s) with its port at `baud`: what it hears, and when."""
        faults = self.rig.effects.line
        gap = at - self._sent
        if gap > FORGET or (gap > SILENCE and data.startswith(self._header)):
            self._listener = self._codec.listener()  # half a request that nobody finished is forgotten
        sent = line.burst(max(at, self._sent), data, baud)
        self._sent = sent.end
        echo = [sent] if self.echo or ("adapter", Kind.WRONG) in faults else []
        noise = faults.get(("bus", Kind.GARBAGE), 0.0)
        self._coming = [b for b in self._coming if b.end > sent.start + 1e-9]
        out: list[Burst] = []
        if ("bus", Kind.OFF) not in faults and not self._spoken_over(sent):
            heard = self._spoil([sent], noise)[0].data
            for op in self._listener.feed(heard):
                if not isinstance(op, Damage) or op.reason in SPOILT:
                    out += self._answer(op, max([sent.end, *(b.end for b in out)]), baud)
            out = self._spoil(line.collide(out), noise)
        self._coming += out
        late = faults.get(("adapter", Kind.SLOW), 0.0)
        return [replace(b, start=b.start + late, end=b.end + late) for b in echo + out] if late else echo + out

    def _spoken_over(self, sent: Burst) -> bool:
        """Whether a servo that answers late talks into the client's request, which then nobody understands."""
        return any(b.start < sent.end - 1e-9 for b in self._coming)

    def _spoil(self, bursts: list[Burst], share: float) -> list[Burst]:
        if not share:
            return bursts
        rng = self.rig.rng
        return [replace(b, data=line.damage(b.data, rng)) if rng.random() < share else b for b in bursts]

    def _answer(self, op: Op | Damage, end: float, baud: int) -> list[Burst]:
        """What every servo that hears `op` says after its `end` (s)."""
        on, out = self.rig.effects.on, []
        late = self.rig.effects.line.get(("bus", Kind.SLOW), 0.0)
        if isinstance(op, SyncRead | BulkRead) and op.fast:
            return self._answer_fast(op, end + late, baud)
        for index, unit in enumerate(self.rig.units):
            if not unit.powered or unit.firmware.baud != baud:
                continue
            reply = self._handle(index, unit, op)
            if reply is None or on("reply", Kind.OFF, index) is not None:
                continue
            frame = self._codec.encode_reply(reply, None if isinstance(op, Damage) else op)
            turn = self._turn(op, unit.firmware)
            start = end + late + line.seconds(self._ahead(op, turn, len(frame)), baud)
            start += unit.firmware.return_delay * (turn + 1 if unit.firmware.relays else 1)
            start += on("reply", Kind.SLOW, index) or on("servo", Kind.SLOW, index) or 0.0
            said = line.burst(start, frame, baud)
            out += self._spoil([said], on("reply", Kind.GARBAGE, index) or 0.0)
        return out

    def _answer_fast(self, op: SyncRead | BulkRead, end: float, baud: int) -> list[Burst]:
        """One packet to which each servo adds its part; after a gap nobody can, for want of the CRC so far."""
        on, ids = self.rig.effects.on, op.ids if isinstance(op, SyncRead) else tuple(row[0] for row in op.rows)
        sizes = dict.fromkeys(ids, op.size) if isinstance(op, SyncRead) else {row[0]: row[2] for row in op.rows}
        parts: dict[int, Reply] = {}
        for index, unit in enumerate(self.rig.units):
            if unit.powered and unit.firmware.baud == baud and on("reply", Kind.OFF, index) is None:
                reply = self._handle(index, unit, op)
                if reply is not None and len(reply.data) == sizes.get(reply.id, -1):
                    parts[reply.id] = reply
        said = 8
        for servo in ids:
            if servo not in parts:
                break
            said += sizes[servo] + 4
        if said == 8 or self._codec.wire(op) > dynamixel2.LARGEST:
            return []
        whole = dynamixel2.encode_fast([parts.get(i, Reply(i, 0, bytes(sizes[i]))) for i in ids])
        delay = max((u.firmware.return_delay for u in self.rig.units), default=0.0)
        return [line.burst(end + delay, whole[:said], baud)]

    def _turn(self, op: Op | Damage, firmware: Firmware) -> int:
        """How many answer before this one when several were asked."""
        if isinstance(op, SyncRead):
            return op.ids.index(firmware.id)
        if isinstance(op, BulkRead):
            return [row[0] for row in op.rows].index(firmware.id)
        return firmware.id if isinstance(op, Ping) and op.id == BROADCAST else 0

    def _ahead(self, op: Op | Damage, turn: int, own: int) -> int:
        """Bytes that those say who answer before the servo whose `turn` it is and whose answer has `own` bytes."""
        if isinstance(op, BulkRead):  # of which every answer may have another length
            return self._codec.wire(op._replace(rows=op.rows[:turn]))
        return turn * own

    def _handle(self, index: int, unit: Unit, op: Op | Damage) -> Reply | None:
        """A hung servo still answers questions, but carries nothing out."""
        on = self.rig.effects.on
        if not self.rig.effects.servos:
            return unit.firmware.handle(op)
        if on("servo", Kind.STUCK, index) is not None and not isinstance(op, (Ping, Read, SyncRead)):
            return None
        reply = unit.firmware.handle(op)
        model = on("servo", Kind.WRONG, index)
        memory = unit.firmware.memory
        if reply is not None and model is not None and memory is not None and isinstance(op, (Read, SyncRead)):
            at = memory.address("model_number") - op.address
            data = bytearray(reply.data)
            for k, byte in enumerate(int(model).to_bytes(2, "little")):
                if 0 <= at + k < len(data):
                    data[at + k] = byte
            reply = reply._replace(data=bytes(data))
        return reply


class VirtualPort:
    """A `Port` onto a `VirtualBus` in virtual time: deterministic, and as fast as the computer."""

    def __init__(self, bus: VirtualBus, baud: int = 1_000_000, clock: Clock | None = None,
                 name: str = "virtual time") -> None:
        """`clock` must advance the bus's rig; several ports onto one bus share it."""
        self.name, self.baud, self.bus = name, baud, bus
        self.clock: Clock = clock or SimClock(bus.rig.advance, bus.rig.now)
        self._bytes = bytearray()  # on their way or waiting, the first one first
        self._when: list[float] = []  # s, when each of them has arrived
        self._open = True

    def write(self, data: bytes) -> None:
        self._check()
        late = False
        for burst in self.bus.receive(data, self.clock.now(), self.baud):
            start, step = burst.start, (burst.end - burst.start) / max(1, len(burst.data))
            late = late or (bool(self._when) and start < self._when[-1])
            self._when += [start + k * step for k in range(1, len(burst.data) + 1)]
            self._bytes += burst.data
        if late:  # some of these come before others that were on their way already
            order = sorted(range(len(self._when)), key=self._when.__getitem__)
            self._bytes = bytearray([self._bytes[k] for k in order])
            self._when.sort()

    def read(self, size: int, deadline: float) -> bytes:
        """What has arrived by `deadline` (s); waits for the whole of `size` or the deadline."""
        self._check()
        due = self._arrived(max(deadline, self.clock.now()), size)
        self.clock.wait(self._when[due - 1] if due else deadline)
        self._check()
        return self._take(size)

    def drain(self) -> bytes:
        """Drop and return whatever is waiting to be read."""
        self._check()
        return self._take(len(self._when))

    def close(self) -> None:
        self._open = False
        self._bytes.clear()
        self._when.clear()

    def _take(self, size: int) -> bytes:
        count = self._arrived(self.clock.now() + 1e-12, size)
        out = bytes(self._bytes[:count])
        del self._bytes[:count], self._when[:count]
        return out

    def _arrived(self, by: float, size: int) -> int:
        """How many of the first `size` bytes have arrived by then (s)."""
        return bisect_right(self._when, by, hi=min(size, len(self._when)))

    def _check(self) -> None:
        if not self._open or ("adapter", Kind.OFF) in self.bus.rig.effects.line:
            raise BusError(f"port {self.name} is gone: the virtual adapter was unplugged or closed")
