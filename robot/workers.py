"""What processes that help a command share."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from robot.errors import SteadyhandError

Item = TypeVar("Item")
Result = TypeVar("Result")


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


def each(job: Callable[[Item], Result], todo: Sequence[Item], workers: int,
         begin: Callable[..., object] | None = None, arguments: tuple[Any, ...] = (),
         again: str = "the same command goes on") -> Iterator[Result]:
    """`job` of every item, as they end, in `workers` processes that each call `begin(*arguments)` first.

    With one worker it all happens in this process. Ctrl-C, an error, or the caller's stopping ends the processes at
    once. Raises `SteadyhandError` when one of them dies; `again` says how to go on.
    """
    if min(workers, len(todo)) <= 1:
        if begin is not None:
            begin(*arguments)
        yield from map(job, todo)
        return
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(workers, len(todo)), multiprocessing.get_context("spawn"), begin, arguments)
    try:
        with deaf():
            pending = [pool.submit(job, item) for item in todo]
        for future in as_completed(pending):
            yield future.result()
    except BrokenProcessPool as error:
        raise SteadyhandError("a worker process ended by itself (killed, or out of memory); what was finished is kept: "
                              f"{again}") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
