"""What a servo bus can be asked and what it can answer, whatever the wire format: plain immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from robot.errors import BusError

BROADCAST = 0xFE


class Ping(NamedTuple):
    """Is servo `id` there? To `BROADCAST`: who is there?"""

    id: int


class Read(NamedTuple):
    """`size` bytes of one servo's control table from `address`."""

    id: int
    address: int
    size: int


class Write(NamedTuple):
    """Put `data` into one servo's control table at `address`; to `BROADCAST`: into everyone's, unanswered."""

    id: int
    address: int
    data: bytes


class RegWrite(NamedTuple):
    """A write that waits for `Action`."""

    id: int
    address: int
    data: bytes


class Action(NamedTuple):
    """Carry out the waiting `RegWrite`."""

    id: int = BROADCAST


class SyncRead(NamedTuple):
    """The same registers of several servos; each answers in the order of `ids`.

    `fast` asks Dynamixel 2.0 servos for one joint packet.
    """

    ids: tuple[int, ...]
    address: int
    size: int
    fast: bool = False


class SyncWrite(NamedTuple):
    """The same registers of several servos, never answered; every row's data has one length."""

    address: int
    rows: tuple[tuple[int, bytes], ...]

    def packed(self) -> tuple[int, bytes]:
        """The length of a row's data, and all rows as every protocol sends them. Raises `BusError` for uneven ones."""
        size, out = len(self.rows[0][1]) if self.rows else 0, bytearray()
        for servo, data in self.rows:
            if len(data) != size:
                raise BusError("a sync write needs data of one length for every servo")
            out.append(servo)
            out += data
        return size, bytes(out)


class BulkRead(NamedTuple):
    """Different registers of several servos: rows of (id, address, size)."""

    rows: tuple[tuple[int, int, int], ...]
    fast: bool = False


class BulkWrite(NamedTuple):
    """Different registers of several servos, never answered: rows of (id, address, data)."""

    rows: tuple[tuple[int, int, bytes], ...]


class Reboot(NamedTuple):
    """Restart one servo's firmware. Dynamixel 2.0 only."""

    id: int


class Clear(NamedTuple):
    """Reset one servo's multi-turn revolutions. Dynamixel 2.0 only; refused by a moving servo."""

    id: int


class FactoryReset(NamedTuple):
    """Restore factory settings, keeping id and baud rate unless told otherwise. Dynamixel 2.0 only."""

    id: int
    keep_id: bool = True
    keep_baud: bool = True


class Other(NamedTuple):
    """An instruction that no other message stands for, such as a servo may hear from a stranger."""

    id: int
    instruction: int
    params: bytes = b""


Op = (
    Ping | Read | Write | RegWrite | Action | SyncRead | SyncWrite | BulkRead | BulkWrite | Reboot | Clear
    | FactoryReset | Other
)


class Reply(NamedTuple):
    """One servo's answer. `error` is its error byte, as sent; an error never means that `data` is missing."""

    id: int
    error: int
    data: bytes


class Damage(NamedTuple):
    """Bytes that are no message. `id` is the servo they seem to come from, -1 when there is no telling."""

    reason: str
    data: bytes
    id: int = -1


class Reader(Protocol):
    """Turns a byte stream, cut anywhere, into replies; any bytes at all are welcome."""

    def feed(self, data: bytes) -> list[Reply | Damage]:
        """What has become complete."""
        ...

    def flush(self) -> list[Reply | Damage]:
        """No more bytes will come: what hides behind an incomplete frame, and forget the rest."""
        ...


class Listener(Protocol):
    """The servo's ear: turns a byte stream into requests."""

    def feed(self, data: bytes) -> list[Op | Damage]: ...
    def flush(self) -> list[Op | Damage]: ...


class Codec(Protocol):
    """A wire format, pure: bytes out of messages and messages out of bytes, both sides of the line."""

    name: ClassVar[str]
    sync: ClassVar[bool]  # several servos answer one request
    sync_write: ClassVar[bool]  # one request writes to several servos
    fast: ClassVar[bool]  # several servos share one packet
    acknowledges: ClassVar[bool]  # a write is answered

    def encode(self, op: Op) -> bytes:
        """The request's bytes. Raises `BusError` for what this format has no bytes for, or never may send."""
        ...

    def expected(self, op: Op) -> dict[int, int] | None:
        """Data bytes of each reply by servo id, in order of arrival; None when anyone may answer."""
        ...

    def wire(self, op: Op) -> int:
        """Bytes that all replies to `op` take on the line."""
        ...

    def reader(self, expected: Mapping[int, int] | None = None, op: Op | None = None) -> Reader:
        """A reader of replies. Given `expected`, frames of any other id or size are damage.

        Given `op` too, so are replies to anything else, where the format tells.
        """
        ...

    def listener(self) -> Listener:
        """A reader of requests, for a servo."""
        ...

    def encode_reply(self, reply: Reply, op: Op | None = None) -> bytes:
        """The bytes a servo answers `op` with; formats whose replies do not name the request need no `op`."""
        ...


@dataclass(frozen=True)
class Alarm:
    """One bit of a servo's error byte or status register in words."""

    bit: int
    name: str
