"""An arm of serial servos as an `Arm`: radians above, counts below, one reading and one goal write a cycle.

A joint whose servo is silent, limp unasked or has lost its configuration gets no goals: on an STS servo a goal
write alone turns torque on, and it would lunge.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hardware import calibration as calibrations
from hardware import identify
from hardware.bus import Bus
from hardware.calibration import Calibration
from hardware.family import Family, family
from hardware.port import SerialPort, find_port, serial_number
from hardware.protocols.messages import BROADCAST
from hardware.protocols.models import codec, table
from hardware.telemetry import Telemetry
from robot import registry
from robot.arms import ArmModel
from robot.clock import WallClock
from robot.errors import ArmError, BusError, SteadyhandError
from robot.faults import ENCODER, jumped
from robot.interfaces import ArmSpec, ArmState, Array, BusStats, Clock, Port
from robot.reach import clipped
from robot.registry import option

LOG = logging.getLogger(__name__)


@option("arm", "servo")
class ServoArm:
    """The arm `model` on a servo bus. `port` is a device name, or opens one when called.

    `id` names this very arm: its calibration is kept under that name, unless `calibration` is a file.
    `restore` writes the file's calibration into servos that hold another one, instead of refusing them.
    """

    def __init__(
        self, model: str, port: str | Callable[[], Port], clock: Clock | None = None, id: str = "default",
        calibration: str = "", restore: bool = False,
    ) -> None:
        self.model: ArmModel = registry.build("model", model)
        self._connect = port
        self._usb: str | None = None
        self._clock = clock or WallClock()
        self._id, self._file, self._restore = id, calibration, restore
        rows = [(j, servo) for j, joint in enumerate(self.model.joints) for servo in (joint.servo, *joint.shadow)]
        self._joints = [j for j, _ in rows]  # of each servo, those that share a joint side by side
        self._ids = [servo for _, servo in rows]
        self._families = self._unknown()
        goal = self._families[0].table["goal_position"]
        self._goal = (goal.address, goal.size)
        self._bus: Bus | None = None
        self._before = BusStats()  # counters of the buses before the present one
        self._reopened = 0
        self._engaged = self._lost = False
        self._soft: set[int] = set()  # joints that may hardly push
        self._seen: ArmState | None = None
        self.calibration: Calibration = calibrations.nominal(self.model)
        self._telemetry = Telemetry(self._families, self._joints, self.calibration, self.spec.names)

    def _unknown(self) -> list[Family]:
        """How to handle each servo, before anything was written to any of them."""
        return [family(table(self.model.joints[j].model)) for j in self._joints]

    @property
    def spec(self) -> ArmSpec:
        return self.model.spec

    @property
    def bus(self) -> Bus:
        """The open bus. Raises `BusError` when there is none."""
        if self._bus is None:
            raise BusError(f"{self.model.name} is not connected; open() it first")
        return self._bus

    def bus_stats(self) -> BusStats:
        """Counters over all reconnections."""
        old, new = self._before, self._bus.stats if self._bus else BusStats()
        return BusStats(old.sent + new.sent, old.answered + new.answered, old.timed_out + new.timed_out,
                        old.corrupt + new.corrupt, self._reopened)

    # ------------------------------------------------------------ connection
    def open(self) -> None:
        """Connect, check who is there and how it is set up, torque off.

        Raises `BusError` for the port, `ArmError` for a servo that is missing, doubled, of another kind or
        calibrated otherwise.
        """
        self.close()
        try:
            self._attach()
            identify.check(self.bus, self.model)
            self.calibration = self._calibrate()
            self._families = self._unknown()
            self._telemetry = Telemetry(self._families, self._joints, self.calibration, self.spec.names)
            self.relax()
            for s in range(len(self._ids)):
                self._configure(s)
        except SteadyhandError:
            self._detach()
            raise
        self.read()

    def _attach(self) -> None:
        self._bus = Bus(self._open_port(), codec(self.model.bus), self._clock)
        self._bus.end = min(f.table.size for f in self._families)
        if self._bus.probe_echo():
            LOG.warning("port %s echoes what it sends; the echo is stripped", self._bus.port.name)
        self._lost = False

    def _open_port(self) -> Port:
        if callable(self._connect):
            return self._connect()
        name = self._connect
        if self._usb and serial_number(name) != self._usb:  # it has another name since it was plugged in again
            name = find_port(self._usb)
        port = SerialPort(name, self.model.baud, self._clock)
        self._usb = self._usb or serial_number(name)
        return port

    def _calibrate(self) -> Calibration:
        path = Path(self._file) if self._file else calibrations.path_of(self.model.name, self._id)
        if not self._file and not path.is_file():
            return calibrations.from_servos(self.bus, self.model)
        loaded = calibrations.load(path, self.model)
        calibrations.check(self.bus, self.model, loaded, self._restore)
        return loaded

    def _detach(self) -> None:
        if self._bus is not None:
            self._before = self.bus_stats()
            self._bus.port.close()
            self._bus = None

    def close(self) -> None:
        """Relax as far as the bus allows and let go of the port; may be called twice."""
        if self._bus is None:
            return
        try:
            self.relax()
        except SteadyhandError as error:
            LOG.warning("closing: %s", error)
        finally:
            self._detach()

    def reopen(self) -> None:
        """The same arm again after its cable was pulled; torque stays as the servos have it.

        Raises `BusError` as `open` does, and `ArmError` when no servo of the arm answers. Those that do not
        answer, or rebooted meanwhile, show in `read`.
        """
        self._detach()
        self._telemetry.port_lost()
        try:
            self._attach()
            identify.recognise(self.bus, self.model)
        except SteadyhandError:
            self._detach()
            raise
        self._reopened += 1
        for s in range(len(self._ids)):
            self._audit(s)
        self.read()

    # ------------------------------------------------------------ the cycle
    def read(self) -> ArmState:
        """One reading of every joint; at most one servo's configuration is looked at besides.

        Never raises for a servo or a port that fell silent: that shows in `health` and `age`.
        """
        known = self._telemetry
        due = known.due(self._clock.now())
        try:
            block = self._families[0].block
            retries = int(known.lost_just_now(due))
            results = self.bus.sync_read([self._ids[s] for s in due], *block, retries=retries) if due else {}
            now = self._clock.now()
            for s in due:
                known.take(s, results[self._ids[s]], now)
            one = known.to_audit()
            if one is not None:
                self._audit(one)
            self._mistrust(known.state(now))
        except BusError as error:
            self._lose(error)
        return known.state(self._clock.now())

    def _mistrust(self, state: ArmState) -> None:
        """A joint whose encoder lies may hardly push from now on: its servo drives it wherever the encoder says.

        At once, not when the loop has judged it: within some hundredths of a second it throws the whole arm about.
        """
        seen, self._seen = self._seen, state
        if not self._engaged or seen is None:
            return
        lies = jumped(state, seen, self.spec.speed) | (state.health & ENCODER != 0)
        for joint, lying in enumerate(lies.tolist()):
            if lying and joint not in self._soft:
                self._soft.add(joint)
                LOG.warning("%s has lost its position and is softened", self._where(self._of(joint)[0]))
                for s in self._of(joint):
                    if not self._families[s].soften(self.bus, self._ids[s]):
                        self._telemetry.torque(s, on=False)

    def _audit(self, s: int) -> None:
        seen = self._families[s].audit(self.bus, self._ids[s], self._engaged)
        if seen is not None:
            self._telemetry.audited(s, seen)

    def command(self, q: Array) -> Array:
        """Send goals to the joints that are fit to receive them; returns the clamped targets (J,) rad.

        Raises `ArmError` when limp or when a target is not finite.
        """
        if not self._engaged:
            raise ArmError(f"{self.model.name} is limp; engage() it before commanding it")
        if False in np.isfinite(q).tolist():
            raise ArmError(f"a target of {self.model.name} is not a number: {np.asarray(q)}")
        sent = clipped(np.asarray(q), self.spec.lower, self.spec.upper)
        counts = self.calibration.to_counts(sent).tolist()
        address, size = self._goal
        rows = [
            (servo, counts[self._joints[s]].to_bytes(size, "little"))
            for s, servo in enumerate(self._ids) if self._telemetry.fit(s)
        ]
        try:
            if rows:
                self.bus.sync_write(address, rows)
        except BusError as error:
            self._lose(error)
        return sent

    def _lose(self, error: BusError) -> None:
        if not self._lost:
            LOG.warning("%s", error)
        self._lost = True
        self._telemetry.port_lost()

    # ------------------------------------------------------------ torque
    def engage(self) -> None:
        """Goals become the present position, then torque comes on, each verified.

        Raises `ArmError` that names the joint; then every joint is limp again.
        """
        self._engaged = False
        try:
            for joint in range(len(self.model.joints)):
                self._energise(joint)
        except SteadyhandError:
            self.relax()
            raise
        self._engaged = True

    def _energise(self, joint: int) -> None:
        """Goal := present position, torque on, both read back; servos of one joint share one goal."""
        servos = self._of(joint)
        first = self._families[servos[0]]
        present = self.bus.get(self._ids[servos[0]], first.table["present_position"])
        if present is None or not first.lowest <= present <= first.highest:
            raise ArmError(f"{self._where(servos[0])} cannot be read, so it may not be energised; check its cable")
        for s in servos:
            for name, counts in self._families[s].engaging(present):
                if not self.bus.put(self._ids[s], self._families[s].table[name], counts):
                    raise ArmError(f"{self._where(s)} does not take {name} {counts}; power-cycle it")
            self._telemetry.torque(s, on=True)
        self._soft.discard(joint)

    def relax(self) -> None:
        """Torque off: all at once first, then each servo until it says so.

        Reaches every servo that can hear, whatever the others do. Raises `BusError` only when the port is gone.
        """
        self._engaged = False
        torque = self._families[0].table["torque_enable"]
        for _ in range(2):
            self.bus.write(BROADCAST, torque.address, bytes(1))
        for s, servo in enumerate(self._ids):
            if self.bus.get(servo, torque, retries=1) == 0 or self.bus.put(servo, torque, 0, tries=1):
                self._telemetry.torque(s, on=False)
            else:
                LOG.warning("%s does not confirm that its torque is off", self._where(s))

    # ------------------------------------------------------------ repairs
    def reseed(self) -> None:
        """Goals := present positions, for every joint that holds torque."""
        for joint in range(len(self.model.joints)):
            if all(self._telemetry.fit(s) for s in self._of(joint)):
                self._energise(joint)

    def reconfigure(self, joint: int) -> None:
        """Write a joint's configuration again, goal := present position, torque as the arm has it.

        Raises `ArmError` when the servo will not take it.
        """
        for s in self._of(joint):
            self._configure(s)
        if self._engaged:
            self._energise(joint)

    def relieve(self, joint: int) -> None:
        """Take the strain off a joint: clear a protection that tripped, goal := present position.

        A Dynamixel that shut down reboots for it: it shows as rebooted until `reconfigure`.
        """
        if not self._engaged:
            return
        for s in self._of(joint):
            self._families[s].unlatch(self.bus, self._ids[s])
        if all(self._telemetry.fit(s) for s in self._of(joint)):
            self._energise(joint)

    def _configure(self, s: int) -> None:
        wrong = self._families[s].configure(self.bus, self._ids[s])
        if wrong:
            raise ArmError(f"{self._where(s)} does not take its {', '.join(wrong)}; power-cycle it and try again")
        self._telemetry.configured(s)
        self._audit(s)

    def _of(self, joint: int) -> list[int]:
        return [s for s, j in enumerate(self._joints) if j == joint]

    def _where(self, s: int) -> str:
        port = self._bus.port.name if self._bus else "(no port)"
        return f"joint {self.spec.names[self._joints[s]]} (servo {self._ids[s]}) on {port}"
