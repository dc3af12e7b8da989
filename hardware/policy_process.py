"""The policy in a process of its own: however slow or broken inference is, the control loop does not feel it.

Pictures go through a memory-mapped file, everything else as JSON lines over a socket pair; nothing is pickled, and
the control loop never waits for either.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robot import registry
from robot.clock import WallClock
from robot.errors import ArmError, DataError, SteadyhandError
from robot.interfaces import ArmState, Chunk, Clock, Frame, Observation, Policy

LOG = logging.getLogger(__name__)
PICTURES = "pictures"
STATE = ("q", "dq", "effort", "current", "temperature", "voltage", "health", "age")
COMMAND = (sys.executable, "-m", "hardware.policy_process")
NICE = 5  # how far inference steps back behind the control loop, which also keeps half of the cores


class ProcessPlanner:
    """A `Planner` whose policy is loaded and run by another process.

    `loader` is the node of the registry group `loader`. `command` replaces the process that is started.
    """

    def __init__(
        self, loader: Mapping[str, Any], folder: Path, clock: Clock | None = None, size: int = 2**23,
        command: Sequence[str] = COMMAND, model: Mapping[str, Any] | str | None = None,
    ) -> None:
        """`size` bytes are set aside for the pictures of one observation, in a file in `folder`. A checkpoint of
        another arm than `model` is refused.
        """
        self.clock = clock or WallClock()
        self.restarts, self.error = 0, ""
        self._loader, self._folder, self._command, self._model = dict(loader), folder, tuple(command), model
        path = folder / PICTURES
        path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), size)
        self._instruction = ""
        self.spare: tuple[str, ...] = ()  # cameras that the policy was trained to do without
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._ready, self._busy, self._rest = False, False, b""

    # ------------------------------------------------------------ the process
    def start(self, timeout: float = 120.0) -> None:
        """Start it and wait until the policy is loaded. Raises `DataError` or `ArmError` with its own words."""
        self._spawn()
        end = self.clock.now() + timeout
        while not self._ready:
            self._hear()
            if self.error:
                raise DataError(self.error)
            if not self.alive or self.clock.now() > end:
                raise ArmError(f"the policy process {self._fate()} before it was ready; see {self._log}")
            self.clock.wait(self.clock.now() + 0.02)

    def _spawn(self) -> None:
        mine, theirs = socket.socketpair()
        mine.setblocking(False)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno()), str(self._folder / PICTURES)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, pass_fds=[theirs.fileno()], start_new_session=True,
                env={"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // 2)), **os.environ})
        theirs.close()
        self._line, self._ready, self._busy, self._rest, self.error = mine, False, False, b"", ""
        self._say({"op": "load", "loader": self._loader, "model": self._model})

    @property
    def _log(self) -> Path:
        return self._folder / "policy.log"

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else -1

    def _fate(self) -> str:
        code = None if self._process is None else self._process.poll()
        return "took too long" if code is None else f"ended with status {code}"

    def notes(self) -> tuple[str, ...]:
        """What the fault catalogue should know of it."""
        if self._process is not None and not self.alive:
            return (f"dead_policy: the policy process {self._fate()}",)
        return (f"broken_policy: {self.error}",) if self.error else ()

    def stop(self) -> None:
        """End the process; may be called twice."""
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    # ------------------------------------------------------------ a Planner
    def reset(self, instruction: str) -> None:
        self._instruction = instruction
        self._say({"op": "reset", "instruction": instruction})
        self._busy = False

    def restart(self) -> None:
        """A fresh process with the same policy and instruction; ready some seconds later."""
        self.restarts += 1
        self.stop()
        self._spawn()
        self._say({"op": "reset", "instruction": self._instruction})

    @property
    def ready(self) -> bool:
        self._hear()
        return self._ready

    def request(self, obs: Observation) -> bool:
        """Hand over `obs`; False while the last one is being worked on, or the policy is not loaded yet."""
        self._hear()
        if self._busy or not self._ready:
            return False
        frames, at = {}, 0
        for name, frame in obs.frames.items():
            flat = np.ascontiguousarray(frame.rgb).reshape(-1)
            if at + flat.size > len(self._memory):
                raise DataError(f"{len(obs.frames)} pictures do not fit in {len(self._memory)} bytes; lower their size")
            self._memory[at : at + flat.size] = flat.tobytes()
            frames[name] = {"stamp": frame.stamp, "shape": frame.rgb.shape, "at": at}
            at += flat.size
        state = {k: getattr(obs.state, k).tolist() for k in STATE}
        self._busy = self._say({"op": "act", "stamp": obs.stamp, "state": state, "state_stamp": obs.state.stamp,
                                "frames": frames})
        return self._busy

    def poll(self) -> Chunk | None:
        return self._hear()

    def _say(self, message: Mapping[str, Any]) -> bool:
        if self._line is None:
            return False
        data = json.dumps(message).encode() + b"\n"
        try:
            return self._line.send(data) == len(data)
        except OSError as error:
            LOG.debug("the policy process does not listen: %s", error)
            return False

    def _hear(self) -> Chunk | None:
        newest = None
        while self._line is not None:
            try:
                data = self._line.recv(65536)
            except OSError:
                break
            if not data:
                break
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            newest = self._take(json.loads(line)) or newest
        return newest

    def _take(self, message: Mapping[str, Any]) -> Chunk | None:
        match message["op"]:
            case "ready":
                self._ready, self.spare = True, tuple(message["spare"])
            case "error":
                self.error, self._busy = str(message["text"]), False
            case "chunk" if message["instruction"] == self._instruction:
                self._busy, self.error = False, ""
                return Chunk(message["t0"], message["dt"], np.array(message["q"], dtype=np.float64),
                             message["confidence"], {"latency": message["latency"]})
        return None


# ---------------------------------------------------------------- the other process
class PolicyServer:
    """Loads a policy and answers observations, one line at a time."""

    def __init__(self, line: socket.socket, pictures: Path) -> None:
        self._line, self._clock = line, WallClock()
        with pictures.open("rb") as file:
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._policy: Policy | None = None
        self._instruction = ""

    def run(self) -> int:
        """Until the other side hangs up."""
        with self._line.makefile("rb") as lines:
            for line in lines:
                try:
                    self._say(self._answer(json.loads(line)))
                except SteadyhandError as error:
                    self._say({"op": "error", "text": str(error)})
                except (ValueError, RuntimeError, KeyError, TypeError, ArithmeticError) as error:
                    LOG.exception("the policy failed")
                    self._say({"op": "error", "text": f"{type(error).__name__}: {error}"})
        return 0

    def _answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        match message["op"]:
            case "load":
                self._policy = registry.build("loader", message["loader"], model=message["model"])
                return {"op": "ready", "spare": list(getattr(self._policy, "spare", ()))}
            case "reset" if self._policy is not None:
                self._instruction = message["instruction"]
                self._policy.reset(self._instruction)
                return None
            case "act" if self._policy is not None:
                began = self._clock.now()
                chunk = self._policy.act(self._observation(message))
                return {"op": "chunk", "instruction": self._instruction, "t0": chunk.t0, "dt": chunk.dt,
                        "q": np.asarray(chunk.q, dtype=np.float64).tolist(), "confidence": float(chunk.confidence),
                        "latency": self._clock.now() - began}
        raise DataError(f"cannot {message['op']} before a policy is loaded")

    def _observation(self, message: dict[str, Any]) -> Observation:
        columns: dict[str, Any] = {k: np.array(message["state"][k], dtype=np.float64) for k in STATE}
        columns["health"] = columns["health"].astype(np.int64)
        state = ArmState(stamp=message["state_stamp"], **columns)
        frames = {}
        for name, f in message["frames"].items():
            shape = tuple(f["shape"])
            flat = np.frombuffer(self._memory, np.uint8, int(np.prod(shape)), f["at"])
            frames[name] = Frame(f["stamp"], flat.reshape(shape).copy())
        return Observation(message["stamp"], state, frames)

    def _say(self, message: Mapping[str, Any] | None) -> None:
        if message is not None:
            self._line.sendall(json.dumps(message).encode() + b"\n")


def serve(arguments: Sequence[str]) -> int:
    """Answer on the socket whose number comes first, with pictures from the file that comes second."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)  # it ends when the control process hangs up
    os.nice(NICE)
    logging.basicConfig(format="%(asctime)s policy: %(message)s", level=logging.INFO)
    try:
        return PolicyServer(socket.socket(fileno=int(arguments[0])), Path(arguments[1])).run()
    except (BrokenPipeError, ConnectionResetError):
        return 0


if __name__ == "__main__":
    raise SystemExit(serve(sys.argv[1:]))
