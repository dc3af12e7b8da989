"""One process with everything a robot has on its table: servos behind a port, mechanics, cameras, a job.

`python -m hardware.virtual.bench FOLDER LINK` serves the configuration in FOLDER/config.json; made for
`hardware.virtual.client.Bench` and `steadyhand emulate`.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hardware.virtual import faults
from hardware.virtual.bus import VirtualBus
from hardware.virtual.client import control_path, frames_path
from hardware.virtual.control import Control, refuse_if_alive
from hardware.virtual.electrics import SupplySpec
from hardware.virtual.families import MOTORS, model_of
from hardware.virtual.plant import JointPlant
from hardware.virtual.pty import PtyLine
from hardware.virtual.rig import Rig
from hardware.virtual.server import Server
from hardware.virtual.studio import Studio
from robot import registry
from robot.errors import ConfigError, SteadyhandError
from robot.injection import Injection, parse
from robot.interfaces import World

LOG = logging.getLogger(__name__)
HARDWARE = -10  # niceness: real servos do not wait for a busy computer either
JOINT_PERIOD = 0.002  # s, tick of firmwares and joint dynamics
BULLET_PERIOD = 1.0 / 240.0  # s, PyBullet's own


@dataclass(frozen=True)
class Settings:
    """The `bench` key of a configuration."""

    seed: int = 0  # of the first scene and of every random damage
    camera_rate: float = 12.5  # pictures a second of each camera
    linger: float = 3.0  # s that the bench outlives the process that started it
    echo: bool = False  # the adapter hears itself
    return_delay: int = -1  # register counts of 2 µs for every servo; -1 leaves the table's default
    volts: float = 0.0  # V of the supply; 0 is what the servos are made for
    faults: str = ""  # in force from the start, separated by semicolons

    @classmethod
    def of(cls, node: Mapping[str, Any] | None) -> Settings:
        """Raises `ConfigError` for a key there is not."""
        known = {f.name for f in fields(cls)}
        for key in node or {}:
            if key not in known:
                raise ConfigError(f"bench has no key {key!r}; it has: {', '.join(sorted(known))}")
        return cls(**(node or {}))


class VirtualBench:
    """What one process serves."""

    def __init__(self, config: Mapping[str, Any], link: Path) -> None:
        """Raises `SteadyhandError` subclasses for a configuration or link that cannot be used."""
        self.settings = Settings.of(config.get("bench"))
        self.link = link
        node = config.get("plant") or "joints"
        bullet = (node if isinstance(node, str) else node[registry.OPTION_KEY]) == "bullet"
        self.model = model_of(config)
        self.world: World | None = None
        self.instruction = ""
        if bullet:
            # pictures are drawn by the studio's process, so this one needs no renderer
            self.world = registry.assemble({**config, "renderer": None}, "world", model=self.model)
        self.plant = registry.assemble({**config, "plant": node}, "plant", model=self.model, world=self.world)
        if self.world is not None:
            self.instruction = self.plant.reset(self.settings.seed)
        self.rig = Rig(self.model, self.plant, self._pose(), BULLET_PERIOD if bullet else JOINT_PERIOD,
                       self.settings.seed, self._supply(), factory=self._factory())
        self.bus = VirtualBus(self.rig, self.model.bus, self.settings.echo)
        refuse_if_alive(control_path(link))
        frames_path(link).unlink(missing_ok=True)  # of a bench that was killed
        self.line = PtyLine(link, self.model.baud)
        try:
            self.studio = Studio(config, self.world, frames_path(link), self.settings) if self.world else None
            for text in filter(None, map(str.strip, self.settings.faults.split(";"))):
                self._inject(text)
            self.control = Control(control_path(link), self.answer)  # last: it tells that all is there
        except SteadyhandError:
            self.line.close()
            raise
        self.server = Server(self.bus, self.line, self.control, self._each)
        self._parent, self._orphan_since = os.getppid(), 0.0
        self.watch_parent = False

    def run(self) -> None:
        """Serve until SIGTERM, ctrl-C, or `linger` s after the parent's death; cleans up."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        try:
            os.nice(HARDWARE)
        except OSError:
            LOG.info("no higher priority for the virtual servos without the right to it; a busy host may delay them")
        try:
            self.server.run()
        finally:
            self.control.close()
            self.line.close()
            if self.studio is not None:
                self.studio.close()

    @property
    def orphaned(self) -> bool:
        """Whether the process that started this one is gone."""
        return os.getppid() != self._parent

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request from the control socket."""
        match request.get("op"):
            case "hello":
                return {"instruction": self.instruction, "arm": self.model.name, "pid": os.getpid()}
            case "reset":
                return self._reset(int(request.get("seed", 0)))
            case "status":
                return self._status()
            case "fault":
                return {"fault": self._inject(str(request["fault"])).text}
            case "clear":
                self.rig.clear()
                return {}
            case "stop":
                self.server.stopping = True
                return {}
        raise ConfigError(f"there is no request {request.get('op')!r}; "
                          f"there are: hello, reset, status, fault, clear, stop")

    def _inject(self, text: str) -> Injection:
        """Ask for a fault. Raises `ConfigError` for what is not there to be broken."""
        fault = parse(text, faults.SUPPORTED)
        names = self.studio.names if self.studio else ()
        if fault.component == "camera" and fault.instance not in ("", *names):
            raise ConfigError(f"fault {text!r}: there is no camera {fault.instance!r}; "
                              f"there are: {', '.join(names) or 'none (plant=bullet has some)'}")
        if fault.component == "camera" and not names:
            raise ConfigError(f"fault {text!r}: this bench has no cameras; plant=bullet has some")
        return self.rig.inject(text)

    def _reset(self, seed: int) -> dict[str, Any]:
        if self.world is not None:
            self.instruction = self.plant.reset(seed)
        elif isinstance(self.plant, JointPlant):
            self.plant.place(self.model.spec.park)
        self.rig.moved(self._pose())
        self.server.late = 0.0
        if self.studio is not None:
            self.studio.reset(seed)
        return {"instruction": self.instruction}

    def _status(self) -> dict[str, Any]:
        rig, world = self.rig, self.world
        return {
            "time": rig.now, "q": rig.state.q.tolist(), "dq": rig.state.dq.tolist(),
            "torque": rig.state.torque.tolist(), "energised": rig.energised,
            "voltage": rig.supply.voltage, "temperature": rig.heat.celsius,
            "faults": [f.text for f in rig.faults.pending()], "late": self.server.late,
            "success": bool(world.success()) if world else False,
            "progress": float(world.progress()) if world else 0.0,
        }

    def _pose(self) -> Any:
        if self.world is not None:
            return self.world.arm.read().q
        return self.plant.q

    def _supply(self) -> SupplySpec:
        made_for = max(MOTORS[joint.model][1] for joint in self.model.joints)
        return SupplySpec(self.settings.volts or made_for, brown_out=0.38 * made_for)

    def _factory(self) -> dict[int, dict[str, int]]:
        if self.settings.return_delay < 0:
            return {}
        return {id: {"return_delay": self.settings.return_delay}
                for joint in self.model.joints for id in (joint.servo, *joint.shadow)}

    def _each(self, now: float) -> None:
        if self.studio is not None:
            self.studio.shoot(now, self.rig.effects.cameras)
        if self.watch_parent and self.orphaned:
            self._orphan_since = self._orphan_since or now
            if now - self._orphan_since > self.settings.linger:
                self.server.stopping = True

    def _stop(self, number: int, frame: object) -> None:
        self.server.stopping = True


def main(arguments: list[str]) -> int:
    """Serve FOLDER/config.json behind LINK."""
    folder, link = Path(arguments[0]), Path(arguments[1])
    try:
        bench = VirtualBench(json.loads((folder / "config.json").read_text()), link)
    except SteadyhandError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    bench.watch_parent = True
    bench.run()
    if bench.orphaned:
        shutil.rmtree(folder, ignore_errors=True)  # nobody else is left to do it
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
