"""What processes that help a command share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def deaf() -> Iterator[None]:
    """Processes started in this block do not hear ctrl-C: whoever started them ends them, without their tracebacks."""
    before: Any = None
    with suppress(ValueError):  # not in the main thread: whoever runs us handles signals
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
