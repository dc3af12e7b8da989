"""The servo bus beside its wire-time limit and beside other drivers, on one virtual arm, as ratios.

`make bench`, with `STEADYHAND_PEERS` for the other drivers (docs/peers.md). Nothing here asserts a time.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from hardware.bus import Bus
from hardware.port import BITS, SerialPort
from hardware.protocols import messages
from hardware.protocols.models import codec, table
from hardware.protocols.tables import Unpacker
from hardware.servo_arm import ServoArm
from hardware.virtual.bus import VirtualBus, VirtualPort
from hardware.virtual.client import Bench, control_path
from hardware.virtual.plant import JointPlant
from hardware.virtual.rig import Rig
from robot import config
from robot.arms import ArmModel
from robot.arms.so101 import so101
from robot.clock import WallClock, ticks
from tests.bench.peers.recording import Recording
from tests.hardware.small_arm import plain_arm

pytestmark = pytest.mark.bench
IDS = tuple(range(1, 7))
CYCLES, ROUNDS = 300, 5
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Kind:
    """What a cycle of six servos of one model is: goals out, `block` of each in, as values."""

    servo: str
    block: tuple[int, int]  # address and size that hold `names`
    names: tuple[str, ...]
    fast: bool = False

    @property
    def limit(self) -> float:
        """Seconds that its bytes take at 1 Mbps."""
        made, goal = codec(table(self.servo).protocol), table(self.servo)["goal_position"]
        read = messages.SyncRead(IDS, *self.block, self.fast)
        write = messages.SyncWrite(goal.address, tuple((k, bytes(goal.size)) for k in IDS))
        return (len(made.encode(write)) + len(made.encode(read)) + made.wire(read)) * BITS / 1_000_000

    def cycle(self, bus: Bus) -> bool:
        goal = table(self.servo)["goal_position"]
        bus.sync_write(goal.address, [(servo, goal.encode(2048)) for servo in IDS])
        results = bus.sync_read(IDS, *self.block)
        values = [self.unpack(r.data) for r in results.values() if r.data is not None]
        return len(values) == len(IDS)

    @cached_property
    def unpack(self) -> Unpacker:
        return Unpacker(table(self.servo), *self.block, self.names)


NAMES = ("present_position", "present_velocity", "present_voltage", "present_temperature")
STS, XL330 = (Kind("sts3215", (56, 8), (*NAMES, "present_load")),
              Kind("xl330-m288", (126, 21), (*NAMES, "present_current"), fast=True))
POSITION = Kind("sts3215", (56, 2), NAMES[:1])


@pytest.fixture(scope="module")
def arm(tmp_path_factory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    settings = config.resolve("emulate", ["arm=so101", f"link={folder / 'servos'}", "bench.return_delay=0"])
    with Bench.start(settings) as bench:
        yield bench


@pytest.fixture(scope="module")
def dynamixels(tmp_path_factory) -> Iterator[str]:
    """Six XL330 behind a link."""
    folder = tmp_path_factory.mktemp("dynamixels")
    program = [sys.executable, str(HERE.parent / "hardware" / "small_bench.py"), str(folder), str(folder / "servos"),
               XL330.servo, "pairs"]
    with subprocess.Popen(program) as process:
        while not control_path(folder / "servos").exists():
            time.sleep(0.02)
        yield str(folder / "servos")
        process.terminate()


@pytest.mark.parametrize("kind", [STS, XL330], ids=lambda k: k.servo)
def test_share_of_the_wire_time_limit_in_virtual_time(kind, tmp_path):
    model: ArmModel = so101() if kind is STS else plain_arm(tmp_path, kind.servo, pairs=True)
    plant = JointPlant(model)
    rig = Rig(model, plant, plant.q, period=1e-3, factory={k: {"return_delay": 0} for k in IDS})
    port = VirtualPort(VirtualBus(rig, model.bus))
    bus = Bus(port, codec(model.bus), port.clock)
    start, began = port.clock.now(), time.perf_counter()
    for _ in range(200):
        assert kind.cycle(bus)
    took = (port.clock.now() - start) / 200
    print(f"\nfull-state cycle of six {kind.servo}, virtual time: {took * 1e6:.0f} us, {kind.limit / took:.1%} of the "
          f"wire-time limit; {(port.clock.now() - start) / (time.perf_counter() - began):.1f} x real time")


Times = dict[str, list[float]]


def ours(kind: Kind, port: str) -> Times:
    line = SerialPort(port)
    bus = Bus(line, codec(table(kind.servo).protocol), WallClock())
    wall, cpu, lost = [], [], 0
    try:
        if kind is XL330:
            for servo in IDS:
                bus.write(servo, table(kind.servo)["return_delay"].address, b"\0")
        for _ in range(CYCLES):
            start, busy = time.perf_counter(), time.process_time()
            lost += not kind.cycle(bus)
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - busy)
            time.sleep(0.001)
    finally:
        line.close()
    return {"wall": wall, "cpu": cpu, "lost": [lost]}


def peer(name: str, script: str, port: str, *more: str) -> Times | None:
    python = Path(os.environ.get("STEADYHAND_PEERS", "")) / name / "bin" / "python"
    if not python.exists():
        return None
    done = subprocess.run([str(python), str(HERE / "peers" / script), port, str(CYCLES), *more],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    return {**seen, "lost": [seen["lost"]]}


def measured(drivers: Mapping[str, Callable[[], Times | None]], heading: str) -> Iterator[tuple[str, list[Times]]]:
    """Every driver in turn, several rounds; each with its rounds, under a heading that tells who is not installed."""
    rounds = [{name: run() for name, run in drivers.items()} for _ in range(ROUNDS)]
    print(f"\n{heading}")
    for name in drivers:
        if seen := [times for r in rounds if (times := r[name])]:
            yield name, seen
        else:
            print(f"  {name}: not installed")


def side_by_side(kind: Kind, drivers: Mapping[str, Callable[[], Times | None]]) -> None:
    """Prints the undisturbed cycle of each driver: other work only ever adds."""
    what, mine = "position" if kind is POSITION else "full-state", None
    for name, seen in measured(drivers, f"{what} cycle of six {kind.servo} on a pseudo-terminal; "
                                        f"the wire-time limit is {kind.limit * 1e6:.0f} us"):
        # an answer sooner than the wire can carry it is an earlier cycle's that came late and was taken for this one's
        stale = [np.array(s["wall"]) < 0.98 * kind.limit for s in seen]
        wall, cpu = (min(float(np.percentile(np.array(s[what])[~bad], 20)) for s, bad in zip(seen, stale)
                         if not bad.all()) for what in ("wall", "cpu"))
        mine = mine or cpu
        print(f"  {name}: {wall * 1e6:.0f} us ({kind.limit / wall:.0%} of the limit), processor {cpu * 1e6:.0f} us "
              f"({cpu / mine:.2f} x ours), beyond the wire {(wall - kind.limit) * 1e6:.0f} us; "
              f"{sum(s['lost'][0] for s in seen)} of {CYCLES * len(seen)} cycles incomplete, {np.sum(stale)} stale")


def test_cycle_time_and_overhead_beside_feetech_drivers(arm):
    side_by_side(STS, {
        "steadyhand": lambda: ours(STS, arm.port),
        "feetech-servo-sdk": lambda: peer("feetech", "feetech_cycle.py", arm.port),
        "ftservo-python-sdk": lambda: peer("ftservo", "feetech_cycle.py", arm.port),
        "LeRobot 0.4.4": lambda: peer("lerobot", "lerobot_cycle.py", arm.port, "full"),
    })


def test_position_cycle_beside_lerobot(arm):
    side_by_side(POSITION, {
        "steadyhand": lambda: ours(POSITION, arm.port),
        "LeRobot 0.4.4": lambda: peer("lerobot", "lerobot_cycle.py", arm.port, "position"),
    })


def test_cycle_time_and_overhead_beside_dynamixel_sdk(dynamixels):
    side_by_side(XL330, {
        "steadyhand": lambda: ours(XL330, dynamixels),
        "dynamixel-sdk, sync read": lambda: peer("dynamixel", "dynamixel_cycle.py", dynamixels, "sync"),
        "dynamixel-sdk, fast sync read": lambda: peer("dynamixel", "dynamixel_cycle.py", dynamixels, "fast"),
    })


class Replayed(SerialPort):
    """The line of `SerialPort`, over the stand-in for a `serial.Serial` that the other drivers have in its place."""

    def __init__(self, port: str) -> None:
        super().__init__(port)
        self._serial, self._fd = Recording(self._serial), -1

    def replay(self) -> None:
        self._serial.replaying = True


def driver(kind: Kind, port: str) -> Times:
    """What our driver takes when servos answer at once."""
    line, wall = Replayed(port), []
    bus = Bus(line, codec(table(kind.servo).protocol), WallClock())
    for _ in range(20):
        kind.cycle(bus)
    line.replay()
    for _ in range(CYCLES):
        start = time.perf_counter()
        assert kind.cycle(bus)
        wall.append(time.perf_counter() - start)
    line.close()
    return {"wall": wall, "cpu": wall, "lost": [0]}


def replayed(kind: Kind, drivers: Mapping[str, Callable[[], Times | None]]) -> None:
    """Prints what each driver takes beside waiting: the fifth of its cycles in the least disturbed round."""
    mine = None
    for name, seen in measured(drivers, f"full-state cycle of six {kind.servo} that answer at once"):
        took = min(float(np.percentile(s["wall"][20:], 20)) for s in seen)
        mine = mine or took
        print(f"  {name}: {took * 1e6:.0f} us ({took / mine:.2f} x ours)")


def test_overhead_alone_beside_feetech_drivers(arm):
    replayed(STS, {
        "steadyhand": lambda: driver(STS, arm.port),
        "feetech-servo-sdk": lambda: peer("feetech", "feetech_cycle.py", arm.port, "replay"),
        "ftservo-python-sdk": lambda: peer("ftservo", "feetech_cycle.py", arm.port, "replay"),
        "LeRobot 0.4.4": lambda: peer("lerobot", "lerobot_cycle.py", arm.port, "full", "replay"),
    })


def test_overhead_alone_beside_dynamixel_sdk(dynamixels):
    replayed(XL330, {
        "steadyhand": lambda: driver(XL330, dynamixels),
        "dynamixel-sdk, sync read": lambda: peer("dynamixel", "dynamixel_cycle.py", dynamixels, "sync", "replay"),
        "dynamixel-sdk, fast sync read": lambda: peer("dynamixel", "dynamixel_cycle.py", dynamixels, "fast", "replay"),
    })


def test_what_one_dead_servo_costs_a_cycle(arm):
    robot = ServoArm("so101", arm.port)
    robot.open()

    def lasts() -> np.ndarray:
        took = []
        for _ in range(200):
            start = time.perf_counter()
            robot.read()
            took.append(time.perf_counter() - start)
            time.sleep(0.002)
        return np.array(took)

    for dead in (1, 3, 6):
        well = lasts()
        arm.fault(f"servo {dead} off")
        ill = lasts()
        arm.clear()
        lasts()
        print(f"\nservo {dead} dead: mean {(ill.mean() - well.mean()) * 1e3:+.2f} ms a cycle, "
              f"median {(np.median(ill) - np.median(well)) * 1e3:+.2f} ms (alive: {np.median(well) * 1e3:.2f} ms)")
    robot.close()


@pytest.mark.parametrize("dead", [1, 3, 6])
def test_what_one_dead_servo_costs_a_cycle_in_virtual_time(dead):
    plant = JointPlant(so101())
    rig = Rig(so101(), plant, plant.q, period=2e-3, factory={k: {"return_delay": 0} for k in IDS})
    port = VirtualPort(VirtualBus(rig, "feetech"))
    robot = ServoArm("so101", lambda: port, port.clock)
    robot.open()

    def lasts() -> np.ndarray:
        took = []
        for _ in range(100):
            start = port.clock.now()
            robot.read()
            took.append(port.clock.now() - start)
            port.clock.wait(start + 0.01)
        return np.array(took)

    well = lasts()
    rig.inject(f"servo {dead} off")
    ill = lasts()
    print(f"\nservo {dead} dead, virtual time, 100 Hz: mean {(ill.mean() - well.mean()) * 1e3:+.2f} ms a cycle, most "
          f"{(ill.max() - well.mean()) * 1e3:+.2f} ms (alive: {well.mean() * 1e3:.2f} ms)")


def burn() -> None:
    a = np.random.default_rng(0).standard_normal((300, 300))
    while True:
        a = np.tanh(a @ a / 300)


@pytest.mark.parametrize("busy", [False, True])
def test_jitter_of_a_100_hz_loop(arm, busy):
    job = multiprocessing.get_context("spawn").Process(target=burn, daemon=True)
    if busy:
        job.start()
    robot = ServoArm("so101", arm.port)
    robot.open()
    late, missed, before = [], 0, -1
    for tick in ticks(WallClock(), 100.0):
        robot.read()
        late.append(tick.late)
        missed += tick.index - before - 1
        before = tick.index
        if tick.index >= 600:
            break
    robot.close()
    if busy:
        job.kill()
        job.join()
    p50, p99 = np.percentile(late, [50, 99]) * 1e3
    print(f"\n100 Hz loop, {'a training job beside it' if busy else 'alone'}: late by {p50:.2f} ms (p50), {p99:.2f} ms "
          f"(p99), {max(late) * 1e3:.2f} ms (most); {missed} of 600 periods missed", file=sys.stdout)
