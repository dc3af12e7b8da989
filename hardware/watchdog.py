"""The watchdog: a process with its own time base that stops the arm when the control loop dies, hangs or races.

`python -m hardware.watchdog FOLDER` watches FOLDER/heartbeat and is told the rest by FOLDER/watchdog.json. STS
servos have no bus watchdog: without this process they would drive on to their last goal.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hardware.heartbeat import SharedPort, Stage, Word, Words
from hardware.rescue import Rescue, Servos
from robot.clock import WallClock
from robot.errors import ArmError, BusError, SteadyhandError
from robot.interfaces import Clock, Port
from robot.output import write_text

LOG = logging.getLogger(__name__)
LOOK = 0.005  # s between two looks
STEP = 0.04  # s between two goal writes after taking over
GRACE = 3.0  # s without a beat while the control loop mends something
TRIES = 5  # attempts to stop every servo
REPORT = "watchdog-report.json"


@dataclass(frozen=True)
class Terms:
    """When to take over, and what to do then."""

    port: str
    baud: int
    servos: Servos
    timeout: float = 0.2  # s without a beat
    rate: float = 100.0  # Hz, of the beats
    hold: float = 2.0  # s of holding before parking
    park: bool = True
    usb: str = ""  # serial number of the adapter, by which it is found again; "" when it has none


@dataclass
class Judge:
    """Decides from the beats alone. Windowed: too many beats are as wrong as none."""

    timeout: float  # s
    rate: float  # Hz
    _count: int = 0
    _since: float = 0.0
    _armed: bool = False
    _window: tuple[float, int] = (0.0, 0)

    def see(self, now: float, beat: int, armed: bool, grace: bool = False) -> str | None:
        """Why to take over at `now` (s), or None. `grace`: the loop said that it will not beat for a moment."""
        if not armed or not self._armed:
            self._armed, self._count, self._since, self._window = armed, beat, now, (now, beat)
            return None
        if beat < self._count:
            return f"the heartbeat went backwards, from {self._count} to {beat}"
        if beat != self._count:
            self._count, self._since = beat, now
        if now - self._since > (GRACE if grace else self.timeout):
            return f"no heartbeat for {now - self._since:.3f} s"
        began, first = self._window
        if now - began >= 0.5:
            self._window = (now, beat)
            if beat - first > 3.0 * self.rate * (now - began):
                return f"{beat - first} heartbeats in {now - began:.2f} s: the loop races"
        return None


@dataclass
class Story:
    """What happened, for whoever reads the folder later."""

    reason: str = ""
    stages: list[tuple[float, str]] = field(default_factory=list)  # (s since taking over, stage)
    held: int = 0  # servos that were stopped
    note: str = ""


class Watchdog:
    """Looks, judges, and if it must, takes over. `parent` tells whether the control process still lives."""

    def __init__(
        self, terms: Terms, words: Words, port: Port, clock: Clock, parent: Callable[[], bool] = lambda: True,
    ) -> None:
        self.terms, self.words, self.clock, self.parent = terms, words, clock, parent
        self.rescue = Rescue(port, terms.servos, clock)
        self.judge = Judge(terms.timeout, terms.rate)
        self.story = Story()

    def watch(self) -> str | None:
        """Until the work is over (None) or there is a reason to take over."""
        self.words[Word.STAGE] = Stage.WATCHING
        while (reason := self.look()) is None:
            if self.over:
                return None
            self.clock.wait(self.clock.now() + LOOK)
        return reason

    def look(self) -> str | None:
        """One look at the words: why to take over, or None."""
        self.words[Word.WATCH] += 1
        armed = bool(self.words[Word.ARMED])
        reason = self.judge.see(self.clock.now(), self.words[Word.BEAT], armed, bool(self.words[Word.GRACE]))
        if reason is not None:
            return reason
        if self.words[Word.SURRENDER]:
            return "the control loop gave the arm up"
        return "the control process died" if armed and not self.parent() else None

    @property
    def over(self) -> bool:
        """Whether there is nothing left to watch over: the loop said goodbye, or died with the arm limp."""
        return bool(self.words[Word.GOODBYE]) or not self.parent()

    def take_over(self, reason: str) -> Stage:
        """Fence the control process, stop the arm, hold, park, let go; returns the stage it ended in."""
        began = self.clock.now()
        self.words[Word.FENCE] = 1
        self.story.reason = reason
        LOG.error("taking over the arm: %s", reason)
        try:
            self._stage(Stage.HOLDING, began)
            self._stop()
            self._hold(began)
            if not self.terms.park:
                return self._stage(Stage.STUCK, began)
            self._stage(Stage.PARKING, began)
            while not self.rescue.park_step():
                self.clock.wait(self.clock.now() + STEP)
            self.clock.wait(self.clock.now() + 0.5)
            if not self.rescue.release():
                raise ArmError("a servo does not confirm that its torque is off")
            return self._stage(Stage.LIMP, began)
        except (ArmError, BusError) as error:
            self.story.note = str(error)
            LOG.error("%s", error)
            return self._stage(Stage.STUCK, began)

    def _stop(self) -> None:
        """Goals to where the joints are, until every servo has been reached or is known not to answer."""
        for _ in range(TRIES):
            self.story.held = self.rescue.stop()
            if self.story.held == len(self.terms.servos.ids):
                return
        LOG.warning("only %d of %d servos could be stopped", self.story.held, len(self.terms.servos.ids))

    def _hold(self, began: float) -> None:
        while self.clock.now() - began < self.terms.hold:
            self.rescue.hold()
            self.clock.wait(self.clock.now() + STEP)

    def _stage(self, stage: Stage, began: float) -> Stage:
        self.words[Word.STAGE] = stage
        self.story.stages.append((round(self.clock.now() - began, 4), stage.name.lower()))
        return stage


class Kennel:
    """Starts a watchdog process from the control process, and ends it."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        """`folder` holds the words that both sides share: `Words(folder / "heartbeat", create=True)`."""
        self.folder, self.terms = folder, terms
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, words: Words, clock: Clock, timeout: float = 10.0) -> None:
        """Raises `ArmError` when it does not come up: without it no torque."""
        write_text(self.folder / "watchdog.json", json.dumps(asdict(self.terms)))
        words[Word.STAGE], words[Word.FENCE], words[Word.GOODBYE] = Stage.STARTING, 0, 0
        with (self.folder / "watchdog.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hardware.watchdog", str(self.folder)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        end = clock.now() + timeout
        while words[Word.STAGE] != Stage.WATCHING:
            if self.process.poll() is not None or clock.now() > end:
                said = (self.folder / "watchdog.log").read_text(errors="replace").strip().splitlines()
                raise ArmError(f"the watchdog does not start: {said[-1] if said else 'it said nothing'}")
            clock.wait(clock.now() + 0.01)

    def end(self) -> None:
        """Wait for it to end after `goodbye`; one that does not is ended."""
        if self.process is None:
            return
        try:
            self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def terms_from(document: dict[str, Any]) -> Terms:
    """What `Kennel.start` wrote."""
    s = document.pop("servos")
    servos = Servos(s["protocol"], tuple(s["models"]), tuple(s["ids"]), tuple(s["park"]))
    return Terms(servos=servos, **document)


def main(arguments: list[str]) -> int:
    """Watch until the work is over; 0 then, 1 after having had to take over, 2 when it cannot watch."""
    folder = Path(arguments[0])
    logging.basicConfig(format="%(asctime)s watchdog: %(message)s", level=logging.INFO)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # it ends with the work, not before
    parent, clock = os.getppid(), WallClock()
    try:
        os.nice(-10)
    except OSError:
        LOG.info("no higher priority for the watchdog without the right to it")
    try:
        terms = terms_from(json.loads((folder / "watchdog.json").read_text()))
        words = Words(folder / "heartbeat")
        port = SharedPort(terms.port, terms.baud, clock, terms.usb)
    except (SteadyhandError, OSError, ValueError) as error:
        LOG.error("%s", error)
        return 2
    dog = Watchdog(terms, words, port, clock, lambda: os.getppid() == parent)
    reason = dog.watch()
    if reason is None:
        return 0
    dog.take_over(reason)
    write_text(folder / REPORT, json.dumps(asdict(dog.story), indent=2) + "\n")
    return 1


if __name__ == "__main__":  # pragma: no cover - in a process of its own
    raise SystemExit(main(sys.argv[1:]))
