"""The frame that Feetech servos and Dynamixel 1.0 share: FF FF id length code ... checksum.

There is no byte stuffing, so a header may occur inside data: only header, length and checksum together make a
frame, and the search goes on one byte after a header that fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hardware.protocols.messages import Damage

HEADER = b"\xff\xff"
LARGEST_ID = 0xFD


class Frame(NamedTuple):
    """One frame whose checksum is right; `code` is an instruction or an error byte."""

    id: int
    code: int
    body: bytes


def checksum(data: bytes) -> int:
    """Complement of the low byte of the sum, over id through the last parameter."""
    return ~sum(data) & 0xFF


def pack(servo: int, code: int, body: bytes = b"") -> bytes:
    """The frame's bytes."""
    inner = bytes((servo, len(body) + 2, code)) + body
    return HEADER + inner + bytes((checksum(inner),))


class Framer:
    """Finds frames in a byte stream. `expected` (id -> body bytes) rules out all other frames."""

    def __init__(self, expected: Mapping[int, int] | None = None, broadcast: bool = False) -> None:
        self._expected = expected
        self._largest = 0xFE if broadcast else LARGEST_ID
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame | Damage]:
        self._buffer += data
        return self._scan(final=False)

    def flush(self) -> list[Frame | Damage]:
        return self._scan(final=True)

    def _scan(self, final: bool) -> list[Frame | Damage]:
        out: list[Frame | Damage] = []
        buffer, at, lost, why, who = self._buffer, 0, 0, "noise", -1
        while True:
            head = buffer.find(HEADER, at)
            if head < 0:
                at = max(at, len(buffer) - (not final and buffer.endswith(b"\xff")))
                break
            at = head
            size = self._size(head)
            if size < 0:
                at = head + 1
                continue
            if size == 0 or head + size > len(buffer):
                if not final:
                    break
                why, who = "incomplete", self._sender(head)
                at = head + 1
                continue
            frame = bytes(buffer[head : head + size])
            if checksum(frame[2:-1]) != frame[-1]:
                why, who = "checksum", frame[2]
                at = head + 1
                continue
            if head > lost:
                out.append(Damage(why, bytes(buffer[lost:head]), who))
                why, who = "noise", -1
            at = lost = head + size
            out.append(Frame(frame[2], frame[4], frame[5:-1]))
        if at > lost:
            out.append(Damage(why, bytes(buffer[lost:at]), who))
        del buffer[:at]
        return out

    def _sender(self, head: int) -> int:
        return self._buffer[head + 2] if head + 2 < len(self._buffer) else -1

    def _size(self, head: int) -> int:
        """Bytes of the frame that starts at `head`: 0 when more must come to tell, -1 when it is none."""
        buffer = self._buffer
        if head + 2 >= len(buffer):
            return 0
        servo = buffer[head + 2]
        if servo > self._largest or (self._expected is not None and servo not in self._expected):
            return -1
        if head + 3 >= len(buffer):
            return 0
        length = buffer[head + 3]
        if length < 2 or (self._expected is not None and length != self._expected[servo] + 2):
            return -1
        return length + 4
