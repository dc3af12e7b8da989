"""Independent software against the virtual servos: the vendors' own SDKs and LeRobot's motor buses.

Each lives in an environment of its own, since two share an import name and LeRobot pins another torch:
`STEADYHAND_PEERS` names a folder with `dynamixel`, `feetech`, `ftservo`, `lerobot` and `other` in it (docs/peers.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardware.protocols.models import table
from hardware.virtual.client import Bench, control_path
from robot import config
from robot.clock import WallClock

pytestmark = pytest.mark.peer
SCRIPTS = Path(__file__).parent / "peers"


def run(peer: str, script: str, *arguments: str) -> dict:
    folder = os.environ.get("STEADYHAND_PEERS")
    if not folder:
        pytest.skip("STEADYHAND_PEERS is not set; docs/peers.md says how to make the environments")
    interpreter = Path(folder) / peer / "bin" / "python"
    if not interpreter.exists():
        pytest.skip(f"there is no {interpreter}; docs/peers.md says how to make it")
    done = subprocess.run([str(interpreter), str(SCRIPTS / script), *arguments],
                          capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def so101(tmp_path):
    with Bench.start(config.resolve("emulate", ["arm=so101", f"link={tmp_path / 'servos'}"])) as bench:
        yield bench


@pytest.mark.parametrize("peer", ["feetech", "ftservo"])
def test_the_vendors_feetech_sdks(so101, peer):
    seen = run(peer, "feetech_sdk.py", so101.port)
    six = [str(k) for k in range(1, 7)]
    assert seen["ping"] == {k: [777, 0, 0] for k in six}
    assert all(row[1:] == [0, 0] for row in seen["positions"].values())
    assert seen["sync_read_result"] == 0
    for k in six:
        assert abs(seen["arrived"][k] - seen["sync"][k]) < 15
        assert abs(seen["sync_read"][k] - seen["sync"][k]) < 15
    assert seen["absent"] == -6  # their code for a time-out


def test_a_flagged_servo_is_visible_to_the_vendors_sdk(so101):
    so101.fault("temperature elbow_flex wrong 85")
    seen = run("feetech", "feetech_sdk.py", so101.port)
    assert seen["ping"]["3"] == [777, 0, 4]
    assert seen["ping"]["2"] == [777, 0, 0]


def test_lerobots_feetech_bus(so101):
    seen = run("lerobot", "lerobot_bus.py", so101.port, "feetech", *(f"{k}:sts3215" for k in range(1, 7)))
    assert seen["broadcast"] == [1, 2, 3, 4, 5, 6]
    assert all(20 <= t <= 40 for t in seen["temperature"].values())
    assert all(abs(seen["after"][name] - goal) < 15 for name, goal in seen["goals"].items())


# ---------------------------------------------------------------- software by people apart from vendor and LeRobot
@pytest.fixture
def small(tmp_path, request):
    """Three servos of the model that the test names, behind a link."""
    clock, path = WallClock(), tmp_path / "servos"
    program = [sys.executable, str(SCRIPTS.parent / "small_bench.py"), str(tmp_path), str(path), request.param]
    with subprocess.Popen(program) as process:
        end = clock.now() + 20
        while not control_path(path).exists() and clock.now() < end:
            clock.wait(clock.now() + 0.02)
        yield request.param, str(path)
        process.terminate()


def agree(registers: list[list], model: str) -> int:
    """How many registers lie where our own table has them; their counts must be the defaults of that."""
    ours, same = table(model), 0
    at = {r.address: r for r in ours.registers.values()}
    for name, address, size, _, counts, _ in registers:
        r = at.get(address)
        if r is None:  # theirs is one table for all of a series
            continue
        moves = r.name.startswith(("present_", "goal_", "realtime", "torque_limit", "moving", "position_traj"))
        if r.size != size or r.name in ("id", "baud_code", "status") or moves:
            same += r.size == size
            continue
        assert counts == r.default & (1 << 8 * size) - 1, (name, counts, r.default)
        same += 1
    return same


@pytest.mark.parametrize("small, kind, few", [("ax-12a", "Ax", 1), ("xl330-m288", "Xl330", 2),
                                              ("xl430-w250", "Xl430", 2)], indirect=["small"])
def test_rustypot_knows_the_same_servos(small, kind, few):
    model, port = small
    seen = run("other", "rustypot_bus.py", port, kind, "1000000", "1", "2", "3")
    assert seen["ping"] == [True] * 3
    assert agree(seen["registers"], model) >= len(seen["registers"]) - few
    assert [abs(a - b) < 15 for a, b in zip(seen["after"], seen["goals"])] == [True] * 3
    assert seen.get("broadcast", [1, 2, 3]) == [1, 2, 3] and seen.get("sync", seen["after"]) == seen["after"]


def test_rustypot_drives_the_so101(so101):
    seen = run("other", "rustypot_bus.py", so101.port, "Sts3215", "1000000", *"123456")
    assert seen["ping"] == [True] * 6 and seen["broadcast"] == [1, 2, 3, 4, 5, 6]
    # they take minimum_startup_force for two bytes, and the current's sign for none
    assert agree(seen["registers"], "sts3215") >= len(seen["registers"]) - 1
    assert [abs(a - b) < 15 for a, b in zip(seen["after"], seen["goals"])] == [True] * 6
    assert [abs(a - b) < 3 for a, b in zip(seen["after"], seen["sync"])] == [True] * 6


def test_the_package_st3215_drives_the_so101(so101):
    seen = run("other", "st3215_client.py", so101.port)
    assert seen["ping"] == [True] * 6 and seen["absent"] is False
    assert all(11 < v < 13 for v in seen["Voltage"]) and all(20 < t < 45 for t in seen["Temperature"])
    assert [abs(a - b) < 15 for a, b in zip(seen["after"], seen["goals"])] == [True] * 6
    assert seen["Mode"] == [0] * 6 and seen["corrected"] == -30


@pytest.mark.parametrize("small", ["ax-12a"], indirect=True)
def test_dynamixel_sdk_and_pyax12_drive_protocol_1(small):
    seen = run("other", "dynamixel1.py", small[1])
    assert seen["ping"] == [[12, 0, 0]] * 3
    assert [abs(a - b) < 8 for a, b in zip(seen["after"], seen["goals"])] == [True] * 3
    assert seen["torque"] == [1, 1, 1]  # by the goals alone
    assert (seen["angle_error"], seen["range_error"]) == (2, 8)
    assert (seen["registered"], seen["led"]) == (1, 1) and seen["absent"] == -3001
    if "pyax12" in seen:
        assert seen["pyax12"]["ping"] == [True] * 3 and seen["pyax12"]["model"] == 12
        assert abs(seen["pyax12"]["position"] - seen["after"][0]) < 30 and seen["pyax12"]["limit"] == 1023


@pytest.mark.parametrize("small", ["lx-16a"], indirect=True)
def test_two_lx16a_packages_drive_theirs(small):
    seen = run("other", "lx16a_clients.py", small[1])
    assert seen["ids"] == [1, 2, 3] and seen["torque"] == [True] * 3
    assert all(6800 < v < 7500 for v in seen["volts"]) and all(20 < t < 40 for t in seen["celsius"])
    assert (seen["limits"], seen["vin"], seen["hot"], seen["motor"]) == ([0, 240], [4500, 12000], 85, False)
    assert seen["set"] == [[pytest.approx(20, abs=0.3), pytest.approx(200, abs=0.3)], pytest.approx(6), 80, False]
    assert seen["moved"] == pytest.approx([150, 120, 140], abs=3)
    assert seen["waiting"] == pytest.approx(150, abs=3) and seen["started"] == pytest.approx(100, abs=3)
    other = seen["lewansoul"]
    assert abs(other["position"] - 600) < 12 and other["id"] == 2 and other["on"]
    assert other["limits"] == [0, 1000] and other["mode"] == 0 and other["off"] == [False] * 3
