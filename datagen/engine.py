"""Who makes the episodes: an engine hands episode numbers to workers and gives back packed episodes, in any order."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from robot.errors import DataError, SteadyhandError
from robot.registry import option

log = logging.getLogger(__name__)
Packed = dict[str, bytes]  # file name -> content, see `datagen.staging.pack`
RETRIES = 2  # of an episode whose worker died
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}


class Maker(Protocol):
    """A worker's tools, made once; what it makes depends on the number alone."""

    def make(self, number: int) -> Packed: ...


class Job(Protocol):
    """A plan that travels to workers (pickled) and opens there."""

    def open(self) -> Maker: ...


class Engine(Protocol):
    def run(self, job: Job, numbers: Iterator[int], workers: int) -> Iterator[tuple[int, Packed]]:
        """Make the episodes of `numbers`, taken as workers come free; when it ends, those in flight still come.

        Raises `DataError` when an episode cannot be made.
        """
        ...


@dataclass
class Hand:
    """One worker process, the line to it, and the episode it is at."""

    process: BaseProcess
    line: Connection
    number: int | None = None

    def give(self, number: int | None) -> None:
        self.number = number
        if number is not None:
            with suppress(BrokenPipeError, ConnectionError):  # it died meanwhile: the next answer tells
                self.line.send(number)


@option("engine", "local")
class LocalEngine:
    """Processes on this machine. One that dies is replaced, and its episode is tried again."""

    def run(self, job: Job, numbers: Iterator[int], workers: int) -> Iterator[tuple[int, Packed]]:
        deaths: Counter[int] = Counter()
        crew: list[Hand] = []
        try:
            for _ in range(max(workers, 1)):
                number = next(numbers, None)
                if number is not None:
                    crew.append(_hire(job, number))
            while busy := [hand for hand in crew if hand.number is not None]:
                for line in wait([hand.line for hand in busy]):
                    hand = next(h for h in busy if h.line is line)
                    number, answer = hand.number, _answer(hand)
                    if number is None:
                        continue
                    if answer is None:
                        crew[crew.index(hand)] = _replace(job, hand, number, deaths)
                        continue
                    hand.give(next(numbers, None))
                    yield number, answer
        finally:
            for hand in crew:
                _dismiss(hand)


def _hire(job: Job, number: int) -> Hand:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_work, args=(job, theirs), name="steadyhand-worker", daemon=True)
    with _single_threaded():
        process.start()
    theirs.close()
    hand = Hand(process, mine)
    hand.give(number)
    return hand


def _replace(job: Job, hand: Hand, number: int, deaths: Counter[int]) -> Hand:
    _dismiss(hand)
    deaths[number] += 1
    code = hand.process.exitcode
    if deaths[number] > RETRIES:
        raise DataError(f"the worker died {deaths[number]} times at episode {number} (exit status {code}); "
                        "finished episodes are kept, run the same command to go on")
    log.warning("a worker died at episode %d (exit status %s); trying that episode again", number, code)
    return _hire(job, number)


def _answer(hand: Hand) -> Packed | None:
    """What the worker sent, or None when it is gone. Raises what went wrong there, as one line."""
    try:
        kind, content = hand.line.recv()
    except (EOFError, ConnectionError):
        return None
    return unwrapped(hand.number, kind, content)


def wrapped(make: Callable[[], Packed]) -> tuple[str, Any]:
    """What `make` gives, or what went wrong, as something that travels whatever it is."""
    try:
        return "done", make()
    except SteadyhandError as error:
        return "refused", str(error)
    except Exception:  # noqa: BLE001  whatever it is, the parent must hear of it
        return "failed", traceback.format_exc()


def unwrapped(number: int | None, kind: str, content: Any) -> Packed:
    """What `wrapped` held. Raises `DataError`, one line, for what went wrong."""
    if kind == "done":
        return dict(content)
    log.debug("%s", content)
    reason = content if kind == "refused" else content.strip().splitlines()[-1]
    raise DataError(f"episode {number}: {reason}") from SteadyhandError(content)


def _dismiss(hand: Hand) -> None:
    hand.line.close()
    hand.process.join(0.5)
    if hand.process.is_alive():
        hand.process.kill()
        hand.process.join()


def _work(job: Job, line: Connection) -> None:
    """A worker's life: until the line closes. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    makers: list[Maker] = []

    def make(number: int) -> Packed:
        if not makers:
            makers.append(job.open())
        return makers[0].make(number)

    while True:
        try:
            number = line.recv()
            line.send(wrapped(partial(make, number)))
        except (EOFError, BrokenPipeError, ConnectionError):
            return


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Children start with one thread each: two workers with many threads are slower than one with one."""
    before = {key: os.environ.get(key) for key in THREADS}
    os.environ.update(THREADS)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
