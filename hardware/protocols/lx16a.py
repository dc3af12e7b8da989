"""Hiwonder LX-16A bus servos: commands instead of registers, no error byte, writes never answered.

A command's number takes the place of a register's address: where a value has one command to write and another to
read it, the one that writes. So `Read(3, POSITION, 2)` asks servo 3 where it is.
Frame: 55 55 id length command ... checksum (LX-16A communication protocol; lewanlib for the commands).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from hardware.protocols import framing, messages
from hardware.protocols.envelope import checksum
from hardware.protocols.messages import BROADCAST, Damage, Op, Reply
from hardware.protocols.tables import Register, Sign, Table, build
from robot.errors import BusError

HEADER = b"\x55\x55"
OVERHEAD = 6  # bytes of a frame beside its data
LARGEST = 16  # bytes after the id; a longer frame is a damaged length
ID_READ = 14  # stands in for a ping
POSITION = 28
# address -> the command that reads it, and its bytes
READS = {1: (2, 4), 7: (8, 4), 13: (14, 1), 17: (19, 1), 20: (21, 4), 22: (23, 4), 24: (25, 1), 26: (26, 1),
         27: (27, 2), 28: (28, 2), 29: (30, 4), 31: (32, 1), 33: (34, 1), 35: (36, 1)}
ADDRESSES = {command: address for address, (command, _) in READS.items()}


def pack(servo: int, command: int, data: bytes = b"") -> bytes:
    """The frame's bytes."""
    inner = bytes((servo, len(data) + 3, command)) + data
    return HEADER + inner + bytes((checksum(inner),))


class _Framer(framing.Framer[messages.Other]):
    """Finds frames; `expected` (id -> data bytes) rules out all others. A frame as (id, command, data)."""

    header, sender = HEADER, 2

    def __init__(self, expected: Mapping[int, int] | None = None) -> None:
        super().__init__()
        self._expected = expected

    def _size(self, head: int) -> int:
        known = self._buffer[head + 2 : head + 4]
        if known and (known[0] > BROADCAST if self._expected is None else known[0] not in self._expected):
            return -1
        if len(known) < 2:
            return 0
        if not 3 <= known[1] <= LARGEST or (
            self._expected is not None and known[1] != self._expected[known[0]] + 3
        ):
            return -1
        return known[1] + 3

    def _whole(self, frame: bytes) -> bool:
        return checksum(frame[2:-1]) == frame[-1]

    def _message(self, frame: bytes) -> messages.Other:
        return messages.Other(frame[2], frame[4], frame[5:-1])


class _Replies:
    def __init__(self, expected: Mapping[int, int] | None, command: int) -> None:
        self._framer, self._command = _Framer(expected), command

    def feed(self, data: bytes) -> list[Reply | Damage]:
        return [self._reply(x) for x in self._framer.feed(data)]

    def flush(self) -> list[Reply | Damage]:
        return [self._reply(x) for x in self._framer.flush()]

    def _reply(self, item: messages.Other | Damage) -> Reply | Damage:
        """An answer names the command that it answers: one that came late does not pass for another's."""
        if isinstance(item, Damage):
            return item
        if self._command not in (-1, item.instruction):
            return Damage("not what was asked for", item.params, item.id)
        return Reply(item.id, 0, item.params)


class _Requests:
    def __init__(self) -> None:
        self._framer = _Framer()

    def feed(self, data: bytes) -> list[Op | Damage]:
        return [decode(x) if isinstance(x, messages.Other) else x for x in self._framer.feed(data)]

    def flush(self) -> list[Op | Damage]:
        return [decode(x) if isinstance(x, messages.Other) else x for x in self._framer.flush()]


def decode(frame: messages.Other) -> Op:
    """The request in a frame: a command without data is a read where the servo has such a read."""
    if frame.instruction in ADDRESSES and not frame.params:
        address = ADDRESSES[frame.instruction]
        return messages.Read(frame.id, address, READS[address][1])
    return messages.Write(frame.id, frame.instruction, frame.params) if frame.params else frame


class Lx16a:
    """The LX-16A wire format as a `Codec`."""

    name: ClassVar[str] = "lx16a"
    sync: ClassVar[bool] = False
    sync_write: ClassVar[bool] = False
    fast: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False

    def encode(self, op: Op) -> bytes:
        match op:
            case messages.Ping(servo) if servo != BROADCAST:
                return pack(servo, ID_READ)
            case messages.Read(servo, address, size) if address in READS and READS[address][1] == size:
                return pack(servo, READS[address][0])
            case messages.Write(servo, command, data):
                return pack(servo, command, data)
            case messages.Other(servo, command, data):
                return pack(servo, command, data)
        raise BusError(f"an LX-16A has no command for {op}")

    def expected(self, op: Op) -> dict[int, int] | None:
        match op:
            case messages.Ping(servo):
                return {servo: 1}
            case messages.Read(servo, _, size):
                return {servo: size}
        return {}

    def wire(self, op: Op) -> int:
        sizes = self.expected(op) or {}
        return sum(sizes.values()) + OVERHEAD * len(sizes)

    def reader(self, expected: Mapping[int, int] | None = None, op: Op | None = None) -> _Replies:
        return _Replies(expected, -1 if op is None else _command(op))

    def listener(self) -> _Requests:
        return _Requests()

    def encode_reply(self, reply: Reply, op: Op | None = None) -> bytes:
        return pack(reply.id, POSITION if op is None else _command(op), reply.data)


def _command(op: Op) -> int:
    """The command that an answer to `op` carries."""
    return READS[op.address][0] if isinstance(op, messages.Read) else ID_READ


COUNT = math.radians(0.24)  # rad
LX16A = Table(
    model="lx-16a",
    number=0,
    protocol="lx16a",
    size=0,  # there is no table to read on in
    source="Hiwonder LX-16A communication protocol",
    bauds={0: 115_200},
    alarms={},
    counts=1001,
    resolution=COUNT,
    registers=build([
        Register(1, 4, "goal_position", "rad", COUNT),  # its upper half is the time to take, ms
        Register(13, 1, "id", default=1),
        Register(20, 4, "position_limits", "rad", COUNT, default=1000 << 16),  # lower half min, upper half max
        Register(22, 4, "voltage_limits", "V", 1e-3, default=4500 | 12000 << 16),
        Register(24, 1, "max_temperature", "°C", default=85),
        Register(26, 1, "present_temperature", "°C", writable=False),
        Register(27, 2, "present_voltage", "V", 1e-3, writable=False),
        Register(28, 2, "present_position", "rad", COUNT, writable=False, sign=Sign.TWOS),
        Register(29, 4, "mode"),  # 0 servo, 1 motor; its upper half is the motor's speed, -1000..1000
        Register(31, 1, "torque_enable"),
        Register(33, 1, "led"),  # 0 on, 1 off
    ], overlap=True),
)
TABLES = (LX16A,)
