"""Episodes made on many machines by Ray: on a cluster that is there already, or on one started here for the run.

Ray is an extra (`pip install 'steadyhand[ray]'`) and is imported only when this engine is chosen.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import pickle
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datagen.engine import THREADS, Job, Maker, Packed, unwrapped, wrapped
from robot.errors import ConfigError, DataError
from robot.registry import option

_makers: dict[bytes, Maker] = {}  # of this process, one for each plan it was sent


@option("engine", "ray")
class RayEngine:
    """One Ray task an episode, on any node with a free core; what a dead node was at is made again elsewhere.

    Every node needs the same steadyhand, pybullet, numpy and renderer as the machine that the command runs on; one
    that has another is refused with what differs.
    """

    def __init__(self, address: str = "", retries: int = 5) -> None:
        """`address` of a running cluster (`host:6379`, or `auto` for this machine's); "" starts one here.

        `retries` of an episode whose process or node died. Raises `ConfigError` where Ray is not installed.
        """
        if importlib.util.find_spec("ray") is None:
            raise ConfigError("engine=ray needs Ray, which is an extra; install it with: pip install 'steadyhand[ray]'")
        if retries < 0:
            raise ConfigError(f"engine.retries={retries}: give 0 or more")
        self.address, self.retries = address, retries

    def run(self, job: Job, numbers: Iterator[int], workers: int) -> Iterator[tuple[int, Packed]]:
        """See `Engine.run`; `workers` is the number of episodes in flight, whatever the nodes they are on."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray = importlib.import_module("ray")
        with self._connected(ray, workers):
            make = ray.remote(num_cpus=1, max_retries=self.retries)(_make)
            plan, flying = pickle.dumps(job), {}
            while True:
                while len(flying) < workers and (number := next(numbers, None)) is not None:
                    flying[make.remote(plan, number)] = number
                if not flying:
                    return
                done = ray.wait(list(flying), num_returns=1)[0][0]
                number = flying.pop(done)
                yield number, self._fetched(ray, done, number)

    @contextmanager
    def _connected(self, ray: Any, workers: int) -> Iterator[None]:
        here = {"num_cpus": workers, "include_dashboard": False} if not self.address else {}
        try:
            _reachable(self.address)
            with _own_signals():
                ray.init(self.address or "local", log_to_driver=False, logging_level=logging.ERROR,
                         runtime_env={"env_vars": THREADS}, **here)
        except (OSError, RuntimeError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(f"engine.address={self.address or '(none)'}: no Ray cluster there ({reason}); "
                              "leave it empty to start one on this machine") from error
        try:
            yield
        finally:
            ray.shutdown()

    def _fetched(self, ray: Any, done: Any, number: int) -> Packed:
        try:
            kind, content = ray.get(done)
        except ray.exceptions.RayError as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            raise DataError(f"episode {number}: Ray gave it up after {self.retries} retries ({type(error).__name__}: "
                            f"{reason[:160]}); finished episodes are kept, run the same command to go on") from error
        return unwrapped(number, kind, content)


def _make(plan: bytes, number: int) -> tuple[str, Any]:
    """What runs on a node: open the plan once a process, then make episode after episode."""
    def work() -> Packed:
        if plan not in _makers:
            _makers[plan] = pickle.loads(plan).open()
        return _makers[plan].make(number)

    return wrapped(work)


def _reachable(address: str) -> None:
    """Raise `OSError` where nobody listens: Ray itself would end the process instead of raising."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10.0).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts; whoever had it before gets it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
