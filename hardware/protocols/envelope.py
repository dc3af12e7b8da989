"""The frame that Feetech servos and Dynamixel 1.0 share: FF FF id length code ... checksum.

There is no byte stuffing, so a header may occur inside data: only header, length and checksum together make a
frame, and the search goes on one byte after a header that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from hardware.protocols import framing
from hardware.protocols.messages import Damage

HEADER = b"\xff\xff"
LARGEST_ID = 0xFD
T = TypeVar("T")
Make = Callable[[int, int, bytes], T]  # a message out of a frame's id, code (instruction or error byte) and body


def checksum(data: bytes) -> int:
    """Complement of the low byte of the sum, over id through the last parameter."""
    return ~sum(data) & 0xFF


def pack(servo: int, code: int, body: bytes = b"") -> bytes:
    """The frame's bytes."""
    inner = bytes((servo, len(body) + 2, code)) + body
    return HEADER + inner + bytes((checksum(inner),))


class Framer(framing.Framer[T]):
    """Finds frames in a byte stream and makes messages of them. `expected` (id -> body bytes) rules out all others."""

    header, sender = HEADER, 2

    def __init__(self, make: Make[T], expected: Mapping[int, int] | None = None, broadcast: bool = False) -> None:
        super().__init__()
        self._make, self._expected = make, expected
        self._largest = 0xFE if broadcast else LARGEST_ID

    def feed(self, data: bytes) -> list[T | Damage]:
        if self._expected is not None and not self._buffer:
            whole = self._all_whole(data, self._expected)
            if whole is not None:
                return whole
        return super().feed(data)

    def _all_whole(self, data: bytes, expected: Mapping[int, int]) -> list[T | Damage] | None:
        """The short way for bytes that are nothing but whole expected frames, as nearly always; None for others."""
        out: list[T | Damage] = []
        at = 0
        while at + 6 <= len(data):
            servo, end = data[at + 2], at + 4 + data[at + 3]
            if expected.get(servo, -1) != end - at - 6 or end > len(data) or not data.startswith(HEADER, at):
                return None
            if sum(data[at + 2 : end]) & 0xFF != 0xFF:  # the checksum completes the sum to this
                return None
            out.append(self._make(servo, data[at + 4], data[at + 5 : end - 1]))
            at = end
        return out if at == len(data) else None

    def _size(self, head: int) -> int:
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

    def _whole(self, frame: bytes) -> bool:
        return checksum(frame[2:-1]) == frame[-1]

    def _message(self, frame: bytes) -> T:
        return self._make(frame[2], frame[4], frame[5:-1])
