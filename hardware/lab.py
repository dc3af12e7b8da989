"""One deployment in virtual time: servos on a simulated arm with a job to do, and all that a real one has above them.

The bus, the arm, the agent and the watchdog are the ones that `steadyhand deploy` runs; only the port, the clock and
the processes are virtual, so that eight hours take minutes and the same seed brings the same day again. Pictures
are drawn from the scene, the policy is a checkpoint or an expert of the registry, and whatever fails does so by the
fault grammar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hardware import preflight
from hardware.heartbeat import FencedPort, Heartbeat, Stage, TakenOver, Word, Words
from hardware.lab_faults import MEANING, Breaker, LoopDied, Staff
from hardware.lab_planner import PERIOD as PLAN
from hardware.lab_planner import LabPlanner, Scripted
from hardware.monitor import Limits, Monitor
from hardware.rescue import Servos
from hardware.servo_arm import ServoArm
from hardware.virtual import faults as bench_faults
from hardware.virtual.bus import VirtualBus, VirtualPort
from hardware.virtual.families import model_of
from hardware.virtual.rig import Rig
from hardware.virtual.studio import Lens
from hardware.watchdog import LOOK, Terms, Watchdog
from hardware.workcell import Watched
from robot import registry
from robot.agent import Agent, RunResult
from robot.arms import ArmModel
from robot.errors import ArmError, ConfigError
from robot.guard import Guard
from robot.injection import parse
from robot.interfaces import ArmState, Frame, Mode, Policy, Port, Verdict
from robot.recorder import Recorder
from robot.supervisor import Supervisor

PERIOD = 1.0 / 240.0  # s, of physics and firmwares
PATIENCE = 5.0  # s that the watchdog gets to notice that the loop is gone
PICTURES = 0.1  # s between two pictures of a camera
SUPPORTED = {**bench_faults.SUPPORTED, **{name: tuple(kinds) for name, kinds in MEANING.items()}}


class LabClock:
    """Virtual seconds; waiting advances the rig, and every `LOOK` s lets others look, who may wait themselves."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self._advance, self._now, self._next = advance, 0.0, LOOK
        self.looks: list[Callable[[], None]] = []
        self._looking = False

    def now(self) -> float:
        return self._now

    def wait(self, until: float) -> None:
        while self._now < until:
            to = min(until, self._next)
            self._advance(to)
            self._now = to
            if to >= self._next:
                self._next = to + LOOK
                self._look()

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """While one who looks waits, the others go on looking."""
        self._looking = False
        yield
        self._looking = True

    def _look(self) -> None:
        if self._looking:
            return
        self._looking = True
        try:
            for look in self.looks:
                look()
        finally:
            self._looking = False


@dataclass(frozen=True)
class Workshop:
    """What a process builds once: the scene, who works in it, and how."""

    config: Mapping[str, Any]
    model: ArmModel
    world: Any  # a `World` that can also be drawn: `poses()`, `draw(poses, number=)`
    policy: Policy
    replan: float  # s between two requests to it
    folder: Path  # for the words shared with the watchdog

    @classmethod
    def of(cls, config: Mapping[str, Any], folder: Path) -> Workshop:
        """Raises `ConfigError` for a plant without a job in it."""
        node = config["plant"]
        if (node if isinstance(node, str) else node[registry.OPTION_KEY]) != "bullet":
            raise ConfigError("work in virtual time needs plant=bullet: the joints alone have no job to do")
        model = model_of(config)
        world = registry.assemble(config, "world", model=model)
        if config["checkpoint"]:
            policy = registry.build("loader", config["loader"], path=config["checkpoint"],
                                    model=config["arm"].get("model"))
            return cls(config, model, world, policy, float(config["replan"]), folder)
        return cls(config, model, world, Scripted(world, registry.assemble(config, "expert")), PLAN, folder)


class Pictures:
    """A camera of the scene, with whatever the faults make of its pictures."""

    def __init__(self, lab: Lab, name: str) -> None:
        self._lab, self._name = lab, name

    def read(self, max_age: float) -> Frame:
        """See `robot.interfaces.Camera`."""
        frame = self._lab.picture(self._name)
        if frame is None or self._lab.clock.now() - frame.stamp > max_age:
            raise TimeoutError(f"{self._name} has no picture newer than {max_age:g} s")
        return frame


class Lab:
    """One arm at work in virtual time. `seed` is of every random damage; scenes have their own."""

    def __init__(self, shop: Workshop, seed: int, scene: int, recorder: Recorder | None = None,
                 celsius: Sequence[float] = ()) -> None:
        """The arm is connected, limp and checked. `celsius` (°C) of each motor, from work before this.

        Raises `ArmError` when the pre-flight refuses.
        """
        config = shop.config
        self.shop, self.world = shop, shop.world
        self.plant = plant = registry.assemble(config, "plant", model=shop.model, world=self.world)
        self.instruction = str(plant.reset(scene))
        self.rig = Rig(shop.model, plant, self.world.arm.read().q, PERIOD, seed)
        if celsius:
            self.rig.heat.celsius[:] = celsius
        self.clock = LabClock(self.rig.advance)
        self._bus = VirtualBus(self.rig, shop.model.bus)
        self.words = Words(shop.folder / "heartbeat", create=True)
        self.heart = Heartbeat(self.words, self.clock)
        arm = ServoArm(shop.model.name, self._connect, self.clock, id="virtual-lab")
        self.guard = Guard(Watched(arm, self.heart), self.clock)
        self.planner = LabPlanner(shop.policy, self.clock, float(config["latency"]))
        self.breaker = Breaker(self)
        self.agent = Agent(
            self.guard, self._cameras(), self.planner, Supervisor(), self.clock, recorder, rate=float(config["rate"]),
            replan=shop.replan, watch=PICTURES, stats=arm.bus_stats, beat=self._beat, notes=self._notes)
        self.monitor = Monitor(shop.model.spec, Limits(**config["limits"]), self.rig, plant)
        self.guard.open()
        self.dog = self._watchdog(arm)
        self.staff = Staff(VirtualPort(self._bus, shop.model.baud, self.clock), shop.model)
        self.awake = self.parent = True  # the watchdog, the control process
        self.rescued = ""  # why the watchdog took over
        self.taken_over = self.stood = np.inf  # s, when; and when the arm then stood still
        self.clock.looks += [self._look]
        self.checks = preflight.inspect(self.agent)

    # ------------------------------------------------------------ parts
    def _connect(self) -> Port:
        return FencedPort(VirtualPort(self._bus, self.shop.model.baud, self.clock), self.words)

    def _watchdog(self, arm: ServoArm) -> Watchdog:
        model, settings = self.shop.model, self.shop.config["watchdog"]
        servos = Servos(model.bus, tuple(j.model for j in model.joints), tuple(j.servo for j in model.joints),
                        tuple(int(c) for c in arm.calibration.to_counts(arm.spec.park)))
        terms = Terms("virtual time", model.baud, servos, settings["timeout"], self.agent.rate, settings["hold"])
        port = VirtualPort(self._bus, model.baud, self.clock)
        dog = Watchdog(terms, self.words, port, self.clock, lambda: self.parent)
        self.words[Word.STAGE] = Stage.WATCHING
        return dog

    def _cameras(self) -> dict[str, Pictures]:
        self._lens, self._shown, self._exposed = Lens(self.world.seed), {}, -np.inf
        if getattr(self.world, "renderer", None) is None:
            return {}
        return {name: Pictures(self, name) for name in self.world.draw(self.world.poses())}

    _shown: dict[str, Frame]

    def picture(self, name: str) -> Frame | None:
        """The newest picture of a camera; all are drawn together, ten times a second at most."""
        now = self.clock.now()
        if now - self._exposed >= PICTURES - 1e-9:
            self._exposed = now
            drawn = self.world.draw(self.world.poses(), number=self.rig.ticks % 100_000)
            for camera, rgb in drawn.items():
                seen = self._lens.through(camera, rgb, now, self.rig.effects.cameras)
                if seen is not None:
                    self._shown[camera] = Frame(seen[1], seen[0])
        return self._shown.get(name)

    # ------------------------------------------------------------ what runs beside the loop
    def _look(self) -> None:
        """Every 5 ms, whatever the loop is doing."""
        self.monitor.look(self.clock.now())
        if self.rescued and self.stood == np.inf and self.monitor.at_rest:
            self.stood = self.monitor.rested
        if self.awake and not self.rescued:
            reason = self.dog.look()
            if reason is not None:
                self._take_over(reason)

    def _take_over(self, reason: str) -> None:
        self.rescued, self.taken_over = reason, self.clock.now()
        with self.clock.elsewhere():
            self.dog.take_over(reason)

    def _beat(self) -> float:
        self.breaker.cycle()
        return self.heart.beat()

    def _notes(self) -> tuple[str, ...]:
        return self.planner.notes() + self.breaker.notes()

    @property
    def verdict(self) -> Verdict:
        """On the newest cycle."""
        return self.agent.verdict

    @property
    def last_state(self) -> ArmState | None:
        """The arm as the loop last read it."""
        return self.agent.last_state

    # ------------------------------------------------------------ work
    def inject(self, text: str) -> None:
        """Ask for a fault of the bench or of the processes. Raises `ConfigError` for what cannot be done."""
        fault = parse(text, SUPPORTED)
        if fault.component in MEANING:
            self.breaker.add(fault)
        else:
            self.rig.inject(text)

    def begin(self, scene: int) -> str:
        """A new scene for a limp arm, as `deploy` does between episodes; returns the instruction."""
        if self.agent.behaviour.mode is not Mode.LIMP:
            raise ArmError("the arm must be limp before the scene is laid anew; park() it first")
        self.instruction = str(self.plant.reset(scene))
        self.rig.moved(self.world.arm.read().q)
        self._exposed = -np.inf
        self._shown.clear()
        self.monitor.forget()
        return self.instruction

    def run(self, seconds: float, done: Callable[[], bool], home: bool = False) -> RunResult:
        """Work until `done()`, at most `seconds`; the watchdog sees a loop that died through to the end."""
        preflight.require(self.checks)
        try:
            return self.agent.run(self.instruction, seconds, done, home)
        except (LoopDied, TakenOver):
            return self._after_the_loop()

    def park(self) -> None:
        """Park and let go, for the next scene."""
        try:
            if self.agent.behaviour.mode is not Mode.LIMP:
                self.agent.park()
        except (LoopDied, TakenOver):
            self._after_the_loop()

    def _after_the_loop(self) -> RunResult:
        result = self.agent.result
        end = self.clock.now() + PATIENCE
        while self.awake and not self.rescued and self.clock.now() < end:
            self.clock.wait(self.clock.now() + LOOK)
        result.outcome = "rescued" if self.dog.story.stages and self.heart.stage is Stage.LIMP else "lost"
        result.seconds = self.clock.now()
        return result

