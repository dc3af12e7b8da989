"""Dynamixel Protocol 2.0, both sides of the line (ROBOTIS e-manual, protocol 2.0).

FF FF FD 00 id length code ... CRC-16. After FF FF FD among code and parameters an FD is stuffed, so a header
cannot occur inside a packet.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np

from hardware.protocols import framing, messages
from hardware.protocols.messages import BROADCAST, Damage, Op, Reply
from robot.errors import BusError

HEADER = b"\xff\xff\xfd"
PING, READ, WRITE, REG_WRITE, ACTION, FACTORY_RESET, REBOOT, CLEAR = 1, 2, 3, 4, 5, 6, 8, 0x10
STATUS, SYNC_READ, SYNC_WRITE, FAST_SYNC_READ = 0x55, 0x82, 0x83, 0x8A
BULK_READ, BULK_WRITE, FAST_BULK_READ = 0x92, 0x93, 0x9A
CLEAR_KEY = b"\x01\x44\x58\x4c\x22"
OVERHEAD = 11  # bytes of a status packet beside its data
LARGEST = 4096  # bytes of a packet; a longer one is a damaged length


def _crc_table() -> tuple[int, ...]:
    out = []
    for byte in range(256):
        value = byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x8005 if value & 0x8000 else value << 1) & 0xFFFF
        out.append(value)
    return tuple(out)


CRC_TABLE = _crc_table()


def _crc_words() -> list[int]:
    """What two bytes at a time make of the CRC: twice as fast as one."""
    table, pair = np.array(CRC_TABLE), np.arange(1 << 16)
    first = table[pair >> 8]
    words: list[int] = ((first << 8 & 0xFFFF) ^ table[first >> 8 ^ pair & 0xFF]).tolist()
    return words


CRC_WORDS = _crc_words()


def crc(data: bytes, start: int = 0) -> int:
    """CRC-16, polynomial 0x8005, not reflected; `start` carries on from an earlier part."""
    value, words = start, CRC_WORDS
    for word in struct.unpack_from(f">{len(data) // 2}H", data):
        value = words[value ^ word]
    return value if len(data) % 2 == 0 else (value << 8 & 0xFFFF) ^ CRC_TABLE[value >> 8 ^ data[-1]]


def pack(servo: int, code: int, body: bytes = b"") -> bytes:
    """The packet's bytes, stuffed."""
    inner = (bytes((code,)) + body).replace(HEADER, HEADER + b"\xfd")
    packet = HEADER + bytes((0, servo)) + (len(inner) + 2).to_bytes(2, "little") + inner
    return packet + crc(packet).to_bytes(2, "little")


class Packet(NamedTuple):
    """One packet whose CRC is right, without its stuffing."""

    id: int
    code: int
    body: bytes


class Framer(framing.Framer[Packet]):
    """Finds packets in a byte stream."""

    header, sender, check = HEADER, 4, "CRC"

    def _size(self, head: int) -> int:
        buffer = self._buffer
        known = len(buffer) - head
        if known > 3 and buffer[head + 3] != 0:
            return -1
        if known > 4 and buffer[head + 4] in (0xFD, 0xFF):
            return -1
        if known < 7:
            return 0
        length = buffer[head + 5] | buffer[head + 6] << 8
        return length + 7 if 3 <= length <= LARGEST else -1

    def _whole(self, frame: bytes) -> bool:
        return crc(frame[:-2]) == int.from_bytes(frame[-2:], "little")

    def _message(self, frame: bytes) -> Packet:
        inner = frame[7:-2]
        if frame[4] != BROADCAST or inner[0] != STATUS:  # what several servos say together is not stuffed
            inner = inner.replace(HEADER + b"\xfd", HEADER)
        return Packet(frame[4], inner[0], inner[1:])


def encode(op: Op) -> bytes:
    """The request's bytes. Raises `BusError` for rows of uneven data."""
    match op:
        case messages.SyncRead(ids, address, size, fast):
            return pack(BROADCAST, FAST_SYNC_READ if fast else SYNC_READ, _u16(address, size) + bytes(ids))
        case messages.SyncWrite(address):
            size, rows = op.packed()
            return pack(BROADCAST, SYNC_WRITE, _u16(address, size) + rows)
        case messages.Ping(servo):
            return pack(servo, PING)
        case messages.Read(servo, address, size):
            return pack(servo, READ, _u16(address, size))
        case messages.Write(servo, address, data):
            return pack(servo, WRITE, _u16(address) + data)
        case messages.RegWrite(servo, address, data):
            return pack(servo, REG_WRITE, _u16(address) + data)
        case messages.Action(servo):
            return pack(servo, ACTION)
    return _encode_rare(op)


def _encode_rare(op: Op) -> bytes:
    match op:
        case messages.BulkRead(reads, fast):
            body = b"".join(bytes((servo,)) + _u16(address, size) for servo, address, size in reads)
            return pack(BROADCAST, FAST_BULK_READ if fast else BULK_READ, body)
        case messages.BulkWrite(writes):
            body = b"".join(bytes((s,)) + _u16(address, len(data)) + data for s, address, data in writes)
            return pack(BROADCAST, BULK_WRITE, body)
        case messages.Reboot(servo):
            return pack(servo, REBOOT)
        case messages.Clear(servo):
            return pack(servo, CLEAR, CLEAR_KEY)
        case messages.FactoryReset(servo, keep_id, keep_baud):
            return pack(servo, FACTORY_RESET, b"\x02" if keep_id and keep_baud else b"\x01" if keep_id else b"\xff")
        case messages.Other(servo, instruction, params):
            return pack(servo, instruction, params)
    raise BusError(f"Dynamixel 2.0 has no instruction for {op}")


def _u16(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def decode(packet: Packet) -> Op | Damage:
    """The request in a packet, as a servo reads it."""
    servo, code, body = packet
    words = [body[k] | body[k + 1] << 8 for k in range(0, min(len(body), 4) - 1, 2)]
    match code, len(body):
        case (1, 0):
            return messages.Ping(servo)
        case (2, 4):
            return messages.Read(servo, *words)
        case (3, n) if n > 2:
            return messages.Write(servo, words[0], body[2:])
        case (4, n) if n > 2:
            return messages.RegWrite(servo, words[0], body[2:])
        case (5, 0):
            return messages.Action(servo)
        case (6, 1) if body[0] in (1, 2, 0xFF):
            return messages.FactoryReset(servo, body[0] != 0xFF, body[0] == 2)
        case (8, 0):
            return messages.Reboot(servo)
        case (0x10, 5) if body == CLEAR_KEY:
            return messages.Clear(servo)
        case (0x82 | 0x8A, n) if n >= 4:
            return messages.SyncRead(tuple(body[4:]), words[0], words[1], code == FAST_SYNC_READ)
    return _decode_rows(packet, words)


def _decode_rows(packet: Packet, words: list[int]) -> Op | Damage:
    servo, code, body = packet
    if code == SYNC_WRITE and len(body) >= 4:
        size, rest = words[1] + 1, body[4:]
        if len(rest) % size:
            return Damage("sync write of uneven rows", body, servo)
        cuts = [rest[k : k + size] for k in range(0, len(rest), size)]
        return messages.SyncWrite(words[0], tuple((row[0], row[1:]) for row in cuts))
    if code in (BULK_READ, FAST_BULK_READ) and len(body) % 5 == 0:
        cuts = [body[k : k + 5] for k in range(0, len(body), 5)]
        reads = tuple((r[0], r[1] | r[2] << 8, r[3] | r[4] << 8) for r in cuts)
        return messages.BulkRead(reads, code == FAST_BULK_READ)
    if code == BULK_WRITE:
        writes, at = [], 0
        while at + 5 <= len(body):
            size = body[at + 3] | body[at + 4] << 8
            writes.append((body[at], body[at + 1] | body[at + 2] << 8, body[at + 5 : at + 5 + size]))
            at += 5 + size
        if at != len(body):
            return Damage("bulk write of uneven rows", body, servo)
        return messages.BulkWrite(tuple(writes))
    return messages.Other(servo, code, body)


def encode_fast(replies: list[Reply]) -> bytes:
    """The one packet with which several servos answer a fast read, each with a CRC over all before it."""
    size = 1 + sum(len(r.data) + 4 for r in replies)
    packet = HEADER + bytes((0, BROADCAST)) + _u16(size) + bytes((STATUS,))
    for r in replies:
        packet += bytes((r.error, r.id)) + r.data
        packet += _u16(crc(packet))
    return packet


class _Replies:
    """Status packets; with `expected`, all others are damage. A torn fast packet gives up its whole parts.

    A servo that refuses says so with an error number and no data: that is a reply too.
    """

    def __init__(self, expected: Mapping[int, int] | None) -> None:
        self._framer, self._expected = Framer(), expected

    def feed(self, data: bytes) -> list[Reply | Damage]:
        return self._sort(self._framer.feed(data))

    def flush(self) -> list[Reply | Damage]:
        return self._sort(self._framer.flush())

    def _sort(self, items: list[Packet | Damage]) -> list[Reply | Damage]:
        out: list[Reply | Damage] = []
        for item in items:
            if isinstance(item, Damage):
                out += self._salvage(item.data) if item.id == BROADCAST else ()
                out.append(item)
            elif item.code != STATUS or not item.body:
                out.append(Damage("no status packet", item.body, item.id))
            elif item.id == BROADCAST:
                out += self._parts(item.body)
            else:
                out.append(self._admit(Reply(item.id, item.body[0], item.body[1:])))
        return out

    def _admit(self, reply: Reply) -> Reply | Damage:
        refused = reply.error & 0x7F and not reply.data and reply.id in (self._expected or ())
        if self._expected is not None and self._expected.get(reply.id, -1) != len(reply.data) and not refused:
            return Damage("not what was asked for", reply.data, reply.id)
        return reply

    def _parts(self, body: bytes) -> list[Reply | Damage]:
        """What each servo says in a fast packet that is whole; the last one's CRC was the packet's."""
        out: list[Reply | Damage] = []
        at, sizes = 0, self._expected or {}
        while at + 2 <= len(body):
            size = sizes.get(body[at + 1], len(body) - at - 2)
            out.append(self._admit(Reply(body[at + 1], body[at], body[at + 2 : at + 2 + size])))
            at += size + 4
        return out

    def _salvage(self, data: bytes) -> list[Reply]:
        """The servos' parts of a torn fast packet that are whole, by the CRC that ends each."""
        head, out = data.find(HEADER + bytes((0, BROADCAST))), []
        at = head + 8
        value = crc(data[head:at])
        while head >= 0 and at + 4 <= len(data):
            end = at + (self._expected or {}).get(data[at + 1], len(data)) + 4
            part = data[at:end]
            value = crc(part[:-2], value)
            if end > len(data) or value != int.from_bytes(part[-2:], "little"):
                break
            out.append(Reply(part[1], part[0], part[2:-2]))
            value = crc(part[-2:], value)
            at = end
        return out


class _Requests:
    def __init__(self) -> None:
        self._framer = Framer()

    def feed(self, data: bytes) -> list[Op | Damage]:
        return [decode(x) if isinstance(x, Packet) else x for x in self._framer.feed(data) if not _status(x)]

    def flush(self) -> list[Op | Damage]:
        return [decode(x) if isinstance(x, Packet) else x for x in self._framer.flush() if not _status(x)]


def _status(item: Packet | Damage) -> bool:
    return isinstance(item, Packet) and item.code == STATUS


class Dynamixel2:
    """Protocol 2.0 as a `Codec`."""

    name: ClassVar[str] = "dynamixel2"
    sync: ClassVar[bool] = True
    sync_write: ClassVar[bool] = True
    fast: ClassVar[bool] = True
    acknowledges: ClassVar[bool] = True

    def encode(self, op: Op) -> bytes:
        return encode(op)

    def expected(self, op: Op) -> dict[int, int] | None:
        match op:
            case messages.SyncRead(ids, _, size):
                return dict.fromkeys(ids, size)
            case messages.BulkRead(rows):
                return {servo: size for servo, _, size in rows}
            case messages.Read(servo, _, size) if servo != BROADCAST:
                return {servo: size}
            case messages.Ping(servo):
                return None if servo == BROADCAST else {servo: 3}
            case messages.SyncWrite() | messages.BulkWrite():
                return {}
        return {} if op.id == BROADCAST else {op.id: 0}

    def wire(self, op: Op) -> int:
        sizes = self.expected(op)
        if sizes is None:
            return (OVERHEAD + 3) * 253
        if isinstance(op, messages.SyncRead | messages.BulkRead) and op.fast:
            return 8 + sum(sizes.values()) + 4 * len(sizes)
        return sum(sizes.values()) + OVERHEAD * len(sizes)

    def reader(self, expected: Mapping[int, int] | None = None, op: Op | None = None) -> _Replies:
        return _Replies(expected)

    def listener(self) -> _Requests:
        return _Requests()

    def encode_reply(self, reply: Reply, op: Op | None = None) -> bytes:
        return pack(reply.id, STATUS, bytes((reply.error,)) + reply.data)
