"""A serial line that lets cycles through, then answers at once what the servos said: what is left is the driver."""

from __future__ import annotations

from typing import Any


class Recording:
    """Stands in for a `serial.Serial`; once `replaying`, nothing more reaches the real one."""

    def __init__(self, real: Any) -> None:
        self.replaying = False
        self._real, self._answers, self._sent, self._left = real, {}, b"", b""

    def write(self, data: Any) -> int:
        self._sent = bytes(data)
        if self.replaying:
            self._left = self._answers.get(self._sent, b"")
            return len(data)
        self._answers[self._sent] = b""
        return self._real.write(data)

    def read(self, size: int) -> bytes:
        if not self.replaying:
            out = self._real.read(size)
            self._answers[self._sent] += out
            return out
        out, self._left = self._left[:size], self._left[size:]
        return out

    @property
    def in_waiting(self) -> int:
        return len(self._left) if self.replaying else self._real.in_waiting

    @property
    def timeout(self) -> float | None:
        return self._real.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        if not self.replaying:
            self._real.timeout = seconds

    def flush(self) -> None:
        if not self.replaying:
            self._real.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)
