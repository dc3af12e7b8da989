"""Where a policy is deployed: a simulated arm in this process, or servos behind a port with everything around them.

Both offer the same: an `Agent`, a scene to begin, and whether its job is done. That is the whole difference
between `arm=sim` and `arm=so101`.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hardware import calibration, marker, view
from hardware.heartbeat import FencedPort, Heartbeat, Stage, Word, Words
from hardware.ongoing import Ongoing
from hardware.policy_process import COMMAND, ProcessPlanner
from hardware.port import SerialPort, find_port, serial_number
from hardware.rescue import Servos
from hardware.servo_arm import ServoArm
from hardware.virtual.client import Bench, control_path
from hardware.watchdog import Kennel, Terms
from robot import registry
from robot.agent import Agent
from robot.clock import WallClock
from robot.errors import ArmError, BusError, ConfigError, SteadyhandError
from robot.guard import Guard
from robot.interfaces import ArmSpec, ArmState, Array, Camera, Clock, Mode, Port, World
from robot.planner import InlinePlanner
from robot.recorder import McapRecorder, Recorder
from robot.supervisor import Supervisor

LOG = logging.getLogger(__name__)
FLIGHT = "flight.mcap"
CONNECTS = 3  # attempts to identify every servo
SURRENDERED = 30.0  # s that a watchdog gets to park an arm that was given up


class Cell(Protocol):
    """A place to work."""

    agent: Agent

    def begin(self, seed: int, fault: str = "") -> str:
        """A new scene, and from its first second the `fault`; returns the instruction."""
        ...

    def done(self) -> bool: ...
    def close(self) -> None: ...


class SimCell:
    """`arm=sim`: the same agent on a simulated arm, in virtual time."""

    def __init__(self, config: Mapping[str, Any], out: Path) -> None:
        policy = registry.build("loader", config["loader"], path=config["checkpoint"], model=config["model"])
        self.world: World = registry.assemble(config, "world")
        self.place = place = Ongoing(self.world)
        place.put(config["first_seed"] + 1000 * config["seed"])
        guard = Guard(place, place)
        guard.open()
        self.recorder = view.beside(McapRecorder(out / FLIGHT, guard.spec), config["view"],
                                    lambda: self.agent.eyes.frames)
        self.agent = Agent(guard, place.cameras, InlinePlanner(policy), Supervisor(), place, self.recorder,
                           rate=config["sim_rate"], replan=config["replan"], watch=0.1)

    def begin(self, seed: int, fault: str = "") -> str:
        """Raises `ConfigError` for a fault: the simulated arm has no servos to break."""
        if fault:
            raise ConfigError(f"arm=sim has no servos for the fault {fault!r}; use arm=so101 port=virtual")
        return self.place.put(seed)

    def done(self) -> bool:
        return self.world.success()

    def close(self) -> None:
        self.agent.arm.close()
        self.recorder.close()


class Watched:
    """The servo arm, with the watchdog armed for as long as there is torque."""

    def __init__(self, arm: ServoArm, heart: Heartbeat) -> None:
        self.arm, self.heart = arm, heart

    @property
    def spec(self) -> ArmSpec:
        return self.arm.spec

    def open(self) -> None:
        self.arm.open()

    def engage(self) -> None:
        with self.heart.grace():
            self.arm.engage()
        self.heart.arm()

    def read(self) -> ArmState:
        return self.arm.read()

    def command(self, q: Array) -> Array:
        return self.arm.command(q)

    def relax(self) -> None:
        with self.heart.grace():
            self.arm.relax()
        self.heart.disarm()

    def close(self) -> None:
        self.arm.close()
        self.heart.disarm()

    def reopen(self) -> None:
        with self.heart.grace():
            self.arm.reopen()

    def reconfigure(self, joint: int) -> None:
        with self.heart.grace():
            self.arm.reconfigure(joint)

    def relieve(self, joint: int) -> None:
        with self.heart.grace():
            self.arm.relieve(joint)


class ServoCell:
    """Servos behind a port: bus, watchdog, policy process, cameras, and with `port=virtual` the bench itself."""

    def __init__(self, config: Mapping[str, Any], out: Path, command: Sequence[str] | None = None) -> None:
        """`command` replaces the policy process. Raises `SteadyhandError` subclasses; then nothing is left running."""
        self.config, self.clock = config, WallClock()
        self.folder = out / "process"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.bench: Bench | None = None
        self.words = Words(self.folder / "heartbeat", create=True)
        self.heart = Heartbeat(self.words, self.clock)
        self.kennel: Kennel | None = None
        self.arm: Watched | None = None
        self.recorder: Recorder | None = None
        self._mark: Path | None = None
        self._done = _Poll(lambda: self.bench is not None and bool(self.bench.status()["success"]), self.clock)
        loader = {registry.OPTION_KEY: config["loader"], "path": str(config["checkpoint"])}
        self.planner = ProcessPlanner(loader, self.folder, self.clock, command=command or COMMAND,
                                      model=config["model"])
        try:
            self._open(out)
        except BaseException:
            self.close()
            raise

    def _open(self, out: Path) -> None:
        config = self.config
        self.port, node = str(config["port"]), config["arm"]
        if self.port == "virtual":
            node = calibration.virtual(node)
            self.bench = Bench.start(dict(config))
            self.port = self.bench.port
        else:
            if control_path(Path(self.port)).exists():
                self.bench = Bench.attach(self.port)  # served by `steadyhand emulate`
            self._mark = marker.refuse_or_path(self.port, bool(config["acknowledge"]))
        self.planner.start()
        arm: ServoArm = registry.build("arm", node, port=self._connect, clock=self.clock)
        self.arm = Watched(arm, self.heart)
        guard = Guard(self.arm, self.clock)
        self._connect_patiently(guard)
        self.kennel = Kennel(self.folder, self._terms(arm))
        self.kennel.start(self.words, self.clock)
        self.recorder = view.beside(McapRecorder(out / FLIGHT, guard.spec), self.config["view"],
                                    lambda: self.agent.eyes.frames)
        self.agent = Agent(
            guard, self._cameras(), self.planner, Supervisor(), self.clock, self.recorder, rate=config["rate"],
            replan=config["replan"], watch=0.1, stats=arm.bus_stats, beat=self.heart.beat, notes=self.planner.notes)
        if self._mark is not None:
            marker.write(self._mark, self.port, out)
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection of everything takes longer than a cycle; between episodes there is time
        try:
            os.nice(-5)
        except OSError:
            LOG.info("no higher priority for the control loop without the right to it")

    def _connect_patiently(self, guard: Guard) -> None:
        """Open the arm; a computer that is busy starting other processes may let an answer slip by."""
        for attempt in range(CONNECTS):
            try:
                guard.open()
                return
            except ArmError as error:
                if attempt == CONNECTS - 1:
                    raise
                LOG.warning("%s; trying again", error)
                self.clock.wait(self.clock.now() + 0.5)

    def _connect(self) -> Port:
        name = self.port
        if not Path(name).exists() and self._usb:
            name = find_port(self._usb)
        line = SerialPort(name, self.arm_model.baud, self.clock)
        self._usb = self._usb or serial_number(name)
        return FencedPort(line, self.words)

    _usb: str | None = None

    @property
    def arm_model(self) -> Any:
        return registry.build("model", self.config["arm"]["model"])

    def _terms(self, arm: ServoArm) -> Terms:
        joints, settings = arm.model.joints, self.config["watchdog"]
        park = arm.calibration.to_counts(arm.spec.park)
        servos = Servos(arm.model.bus, tuple(j.model for j in joints), tuple(j.servo for j in joints),
                        tuple(int(c) for c in park))
        return Terms(self.port, arm.model.baud, servos, settings["timeout"], self.config["rate"], settings["hold"],
                     settings["park"], self._usb or "")

    def _cameras(self) -> Mapping[str, Camera]:
        if self.bench is not None:
            return self.bench.cameras
        if not self.config.get("camera"):
            raise ConfigError("a real arm needs cameras: camera=opencv camera.front=0 camera.wrist=2")
        cameras: Mapping[str, Camera] = registry.build("camera", self.config["camera"], clock=self.clock)
        return cameras

    def begin(self, seed: int, fault: str = "") -> str:
        """On a virtual bench a new scene; on a real table the instruction of `task_text=`."""
        gc.collect()
        self._done.restart()
        if self.bench is None:
            if fault:
                raise ConfigError(f"faults are injected on port=virtual only, not on {self.port}")
            return str(self.config["text"])
        instruction = self.bench.reset(seed)
        if fault:
            self.bench.fault(fault)
        return instruction

    def done(self) -> bool:
        return self._done.value

    def close(self) -> None:
        """Everything ended, the arm limp or in the watchdog's hands; may be called twice."""
        gc.enable()
        gc.unfreeze()
        self._done.stop()
        self._let_go()
        if self.kennel is not None:
            self.kennel.end()
        self.planner.stop()
        if self.recorder is not None:
            self.recorder.close()
        if self.bench is not None:
            self.bench.stop()

    def _let_go(self) -> None:
        """Close a limp arm; one with torque is not dropped but left to the watchdog, which parks it."""
        if self.arm is None:
            return
        armed = self.words[Word.ARMED] != 0
        if armed and self.kennel is not None:
            self.heart.surrender()
            self._wait_for_rescue()
            return
        try:
            self.arm.close()
        except (SteadyhandError, OSError) as error:
            LOG.warning("closing the arm: %s", error)
        self.heart.goodbye()
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)

    def _wait_for_rescue(self) -> None:
        LOG.warning("the watchdog parks the arm")
        end = self.clock.now() + SURRENDERED
        while self.heart.stage not in (Stage.LIMP, Stage.STUCK) and self.clock.now() < end:
            self.clock.wait(self.clock.now() + 0.05)

    @property
    def engaged(self) -> bool:
        return self.agent.behaviour.mode is not Mode.LIMP


class _Poll:
    """Asks a slow question in a thread, so that the loop only looks at the last answer."""

    def __init__(self, ask: Callable[[], bool], clock: Clock, period: float = 0.25) -> None:
        self.value = False
        self._ask, self._clock, self._period = ask, clock, period
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def restart(self) -> None:
        self.stop()
        self.value = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, args=(self._stopped,), daemon=True, name="success")
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=6.0)
            self._thread = None

    def _loop(self, stopped: threading.Event) -> None:
        while not stopped.wait(self._period):
            try:
                self.value = self.value or self._ask()
            except BusError as error:
                LOG.debug("%s", error)
