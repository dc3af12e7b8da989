"""Finding frames in a byte stream, whatever the wire format: noise is passed over and told, nothing is lost to it."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from hardware.protocols.messages import Damage

T = TypeVar("T")


class Framer(Generic[T]):
    """Finds frames and makes messages of them; the search goes on one byte after a header that fails.

    A wire format says how a frame begins and how long it is, whether it is whole, and what it says.
    """

    header: ClassVar[bytes]
    sender: ClassVar[int]  # where in a frame the servo's id is
    check: ClassVar[str] = "checksum"  # what a frame is damaged by that is not `_whole`

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[T | Damage]:
        """The messages that have become complete, and what was none."""
        self._buffer += data
        return self._scan(final=False)

    def flush(self) -> list[T | Damage]:
        """The same, knowing that no more bytes come."""
        return self._scan(final=True)

    def _size(self, head: int) -> int:
        """Bytes of the frame that starts at `head`: 0 when more must come to tell, -1 when it is none."""
        raise NotImplementedError

    def _whole(self, frame: bytes) -> bool:
        """Whether its checksum is right."""
        raise NotImplementedError

    def _message(self, frame: bytes) -> T:
        """What a whole frame says."""
        raise NotImplementedError

    def _scan(self, final: bool) -> list[T | Damage]:
        out: list[T | Damage] = []
        buffer, at, lost, why, who = self._buffer, 0, 0, "noise", -1
        while (head := buffer.find(self.header, at)) >= 0:
            at = head
            size = self._size(head)
            if size == 0 or head + size > len(buffer):
                if not final:
                    break
                why, who = "incomplete", buffer[head + self.sender] if head + self.sender < len(buffer) else -1
            elif size > 0:
                frame = bytes(buffer[head : head + size])
                if self._whole(frame):
                    if head > lost:
                        out.append(Damage(why, bytes(buffer[lost:head]), who))
                    why, who = "noise", -1
                    at = lost = head + size
                    out.append(self._message(frame))
                    continue
                why, who = self.check, frame[self.sender]
            at = head + 1
        else:
            at = len(buffer) if final else max(at, len(buffer) - self._begun())
        if at > lost:
            out.append(Damage(why, bytes(buffer[lost:at]), who))
        del buffer[:at]
        return out

    def _begun(self) -> int:
        """Bytes at the end of the buffer that a header may be beginning with."""
        sizes = range(len(self.header) - 1, 0, -1)
        return next((size for size in sizes if self._buffer.endswith(self.header[:size])), 0)
