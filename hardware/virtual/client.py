"""A virtual bench from the outside: start it, read its cameras, tell it what to break, stop it.

    with Bench.start(config) as bench:
        arm = open_servo_arm(bench.port)      # a serial port like any other
        bench.fault("servo 3 off for 2")

Beside the link PORT that a bench serves lie `PORT.control` (a unix socket, JSON lines) and, where it has
cameras, `PORT.frames`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from hardware.virtual import frames
from robot.clock import WallClock
from robot.errors import BusError
from robot.interfaces import Camera


class Bench:
    """A running virtual bench. Made by `start` or `attach`."""

    def __init__(self, link: Path, process: subprocess.Popen[bytes] | None = None,
                 folder: Path | None = None) -> None:
        self.port = str(link)  # what a driver opens
        self.control = control_path(link)
        self.cameras: dict[str, Camera] = {}  # by name; empty without a world
        self.instruction = ""  # what the scene asks for; "" without a world
        self.process = process
        self._folder = folder

    @classmethod
    def start(cls, config: Mapping[str, Any], link: str | Path | None = None, timeout: float = 60.0) -> Bench:
        """Start a bench in a process of its own and wait until it serves.

        `config` is a command's: groups `model` and `plant`, for `plant=bullet` also `world` and what it
        needs, and optionally `bench` (see `hardware.virtual.bench.Settings`, where the lifetime is).
        Raises `BusError` with the bench's own words when it does not come up within `timeout` s.
        """
        folder = Path(tempfile.mkdtemp(prefix="steadyhand-"))
        path = Path(link) if link else folder / "servos"
        (folder / "config.json").write_text(json.dumps(dict(config)))
        with (folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "hardware.virtual.bench", str(folder), str(path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        bench = cls(path, process, folder)
        try:
            bench._await(timeout)
            bench._greet()
        except BaseException:
            bench.stop()
            raise
        return bench

    @classmethod
    def attach(cls, link: str | Path) -> Bench:
        """A bench that is already running behind `link`, such as `steadyhand emulate`'s."""
        bench = cls(Path(link))
        bench._greet()
        return bench

    def reset(self, seed: int) -> str:
        """Build the scene of `seed` with the arm at its start; returns the instruction."""
        self.instruction = str(self.ask({"op": "reset", "seed": seed}, timeout=30.0)["instruction"])
        return self.instruction

    def status(self) -> dict[str, Any]:
        """`time` s, `q` and `dq` (J,) rad, `torque` (J,) N·m, `energised` (J,), `success`, `progress`,
        `faults`, `voltage` V, `temperature` (J,) °C, `late` s (the worst lag behind real time)."""
        return self.ask({"op": "status"})

    def fault(self, text: str) -> None:
        """Inject a fault, for example `servo 3 off for 2`; see `robot.injection`. Raises when refused."""
        self.ask({"op": "fault", "fault": text})

    def clear(self) -> None:
        """End every injected fault."""
        self.ask({"op": "clear"})

    def ask(self, request: Mapping[str, Any], timeout: float = 5.0) -> dict[str, Any]:
        """One request on the control socket. Raises `BusError` when refused or the bench is gone."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.settimeout(timeout)
                line.connect(str(self.control))
                line.sendall(json.dumps(dict(request)).encode() + b"\n")
                reply = json.loads(line.makefile("rb").readline() or b"{}")
        except (OSError, ValueError) as error:
            raise BusError(f"no virtual bench answers at {self.control}: {error}") from error
        if not reply.get("ok"):
            raise BusError(str(reply.get("error", "the virtual bench hung up")))
        return dict(reply)

    def stop(self) -> None:
        """End the process and remove what it left; may be called twice."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5.0)
        if self.process is not None and os.path.islink(self.port) and not os.path.exists(self.port):
            for left in (Path(self.port), self.control, frames_path(Path(self.port))):  # of one that was killed
                left.unlink(missing_ok=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def _await(self, timeout: float) -> None:
        clock = WallClock()
        end = clock.now() + timeout
        assert self.process is not None and self._folder is not None
        while not self._serves(self.process.pid):
            if self.process.poll() is not None or clock.now() > end:
                words = (self._folder / "log.txt").read_text(errors="replace").strip().splitlines()
                what = "ended" if self.process.poll() is not None else f"did not serve within {timeout:.0f} s"
                raise BusError(f"the virtual bench {what}: {words[-1] if words else 'it said nothing'}")
            clock.wait(clock.now() + 0.02)

    def _serves(self, pid: int) -> bool:
        """Whether it is that very process that answers, not one that had the link before."""
        try:
            return self.control.exists() and bool(self.ask({"op": "hello"})["pid"] == pid)
        except BusError:
            return False

    def _greet(self) -> None:
        hello = self.ask({"op": "hello"})
        self.instruction = str(hello.get("instruction", ""))
        if os.path.exists(frames_path(Path(self.port))):
            self.cameras = dict(frames.cameras(frames_path(Path(self.port))))


def control_path(link: Path) -> Path:
    """Where the bench behind `link` listens for requests."""
    return link.with_name(link.name + ".control")


def frames_path(link: Path) -> Path:
    """Where the bench behind `link` publishes pictures."""
    return link.with_name(link.name + ".frames")


def main(arguments: list[str]) -> int:
    """`python -m hardware.virtual.client LINK status | clear | reset SEED | FAULT`."""
    if len(arguments) < 2:
        sys.stderr.write(f"usage: {(main.__doc__ or '').strip('`.')}\n")
        return 2
    bench, words = Bench(Path(arguments[0])), " ".join(arguments[1:]).split()
    try:
        if words[0] == "reset":
            answer = bench.ask({"op": "reset", "seed": int(words[1]) if len(words) > 1 else 0}, 30.0)
        elif words[0] in ("status", "clear", "hello", "stop"):
            answer = bench.ask({"op": words[0]})
        else:
            answer = bench.ask({"op": "fault", "fault": " ".join(words)})
    except BusError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
