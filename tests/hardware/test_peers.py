"""Independent software against the virtual servos: the vendors' own SDKs and LeRobot's motor buses.

Each lives in an environment of its own, since two share an import name and LeRobot pins another torch:
`STEADYHAND_PEERS` names a folder with `dynamixel`, `feetech`, `ftservo`, `lerobot`, `other` and `more` in it
(docs/peers.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hardware.protocols.models import table
from hardware.servo_arm import ServoArm
from hardware.virtual.client import Bench, control_path
from robot import config
from robot.clock import WallClock

pytestmark = pytest.mark.peer
SCRIPTS = Path(__file__).parent / "peers"


def program(peer: str, name: str = "python") -> str:
    """A program of that peer's environment."""
    folder = os.environ.get("STEADYHAND_PEERS")
    if not folder:
        pytest.skip("STEADYHAND_PEERS is not set; docs/peers.md says how to make the environments")
    path = Path(folder) / peer / "bin" / name
    if not path.exists():
        pytest.skip(f"there is no {path}; docs/peers.md says how to make it")
    return str(path)


def run(peer: str, script: str, *arguments: str) -> dict:
    done = subprocess.run([program(peer), str(SCRIPTS / script), *arguments],
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


def test_lerobot_sets_up_and_calibrates_a_new_arm_which_we_take_over(so101, tmp_path):
    seen = run("lerobot", "lerobot_setup.py", so101.port)
    assert seen["renamed"] == [1, 2, 4, 5, 6, 9] and seen["kept"]
    assert all(abs(counts - 2047) <= 2 for counts in seen["homed"].values())
    path = tmp_path / "lerobot.json"
    path.write_text(json.dumps(seen["calibration"]))
    arm = ServoArm("so101", so101.port, calibration=str(path))
    arm.open()
    try:  # which compares the file with what LeRobot left in the servos
        counts = [arm.bus.get(servo, table("sts3215")["present_position"]) for servo in range(1, 7)]
        q = arm.read().q
    finally:
        arm.close()
    rows = seen["calibration"].values()
    middles = [(row["range_min"] + row["range_max"]) / 2 for row in rows]
    turned = (np.array(counts) - middles) * 2 * np.pi / 4096
    assert np.abs(q[:5]) == pytest.approx(np.abs(turned[:5]), abs=0.05)


# ---------------------------------------------------------------- software by people apart from vendor and LeRobot
def feetech_cli(port: str, *words: str) -> str:
    done = subprocess.run([program("more", "feetech"), "-p", port, "-b", "1000000", *words],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_feetech_cli_administers_the_so101(so101):
    assert "Found 6 servo(s)" in feetech_cli(so101.port, "scan")
    feetech_cli(so101.port, "set-id", "-y", "1", "17")
    assert "id  17  model   777" in feetech_cli(so101.port, "--max-id", "20", "scan")
    feetech_cli(so101.port, "set-id", "-y", "17", "1")
    feetech_cli(so101.port, "set-baud", "-y", "2", "500000")
    assert "500kbps: 2" in feetech_cli(so101.port, "scan", "--all-baudrates")
    feetech_cli(so101.port, "-b", "500000", "set-baud", "-y", "2", "1000000")
    assert "PASS: 5 of 5" in feetech_cli(so101.port, "selftest", "5")
    assert "+10.0 deg" in feetech_cli(so101.port, "set-zero", "-y", "5", "--degree", "10")
    feetech_cli(so101.port, "mode", "5", "step")
    feetech_cli(so101.port, "factory-reset", "-y", "5")
    told = feetech_cli(so101.port, "info", "5")
    assert "addr  33  0 (position)" in told and "addr  31  0" in told


def test_the_makers_model_files_list_the_same_registers():
    files = next(Path(program("more")).parents[1].glob("lib/python*/site-packages/dynamixel_easy_sdk/control_table"))
    for model in ("xl330-m288", "xl430-w250", "xm430-w350"):
        ours = {r.address: r.size for r in table(model).registers.values()}
        rows = (files / f"{model.replace('-', '_')}.model").read_text().partition("[control table]")[2].splitlines()
        theirs = {int(a): int(size) for a, size, *name in (row.split() for row in rows if row[:1].isdigit())
                  if name[-1] != "Read"}
        assert len(theirs) > 50 and theirs == {a: ours.get(a) for a in theirs}


@pytest.mark.parametrize("small", ["xl430-w250"], indirect=True)
def test_the_makers_easy_sdk_drives_dynamixels(small):
    seen = run("more", "easy_sdk.py", small[1])
    assert seen["models"] == ["xl430_w250.model"] * 3 and seen["renamed"] == [1060] * 2 and seen["after_reboot"] == 0
    assert 60 < seen["half"] < 400 and seen["whole"] == pytest.approx(400, abs=15)
    assert seen["status"] == 0b110001 and seen["reversed"] == pytest.approx(4096, abs=15)
    assert seen["velocity"] == pytest.approx(60, abs=6)
    assert seen["refused"] == [6, 6, 7, 12]  # limit, limit, access, and theirs for torque that is off
    assert seen["group"] == pytest.approx([2088, 2128, 2168], abs=15)


@pytest.mark.parametrize("small", ["xl430-w250"], indirect=True)
def test_dxl2_drives_dynamixels(small):
    seen = run("more", "dxl2_bus.py", small[1])
    assert seen["ping"] == {"model_number": 1060, "firmware_version": 48}
    assert seen["broadcast"] == [1, 2, 3] and seen["absent"]
    assert seen["sync"] == pytest.approx(seen["fast"], abs=20) and len(seen["sync"]) == 3  # it may yet be falling
    assert seen["bulk"][:2] == seen["fast_bulk"][:2] == [1060, 120] and seen["written"] == [1, 120]
    assert (seen["waiting"], seen["done"]) == ([1, 0], [0, 1])
    assert seen["turning"] > 25 and seen["watchdog"] == [-1, 0] and (seen["locked"], seen["unlocked"]) == (4, 0)
    assert seen["quiet"] == [True, 0] and seen["second"] == [True, 1]
    assert seen["reset"] == [0, 0, 250] and seen["reboot"] == 0 and seen["tick"] < 5000


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


@pytest.mark.parametrize("small", ["lx-16a"], indirect=True)
def test_lewanlib_drives_lx16a(small):
    seen = run("more", "lewan_bus.py", small[1])
    assert all(6.8 < v < 7.6 for v in [*seen["volts"], seen["renamed"]])
    assert seen["limits"] == [[0, 240], [4.5, 12], 85] and (seen["powered"], seen["energised"]) == (False, True)
    assert seen["asked"] == [pytest.approx(150, abs=0.3), 0.5] and 121 < seen["half"] < 149
    assert seen["moved"] == pytest.approx([150] * 3, abs=2)
    assert seen["offset"] == [pytest.approx(5, abs=0.3), pytest.approx(seen["moved"][0] - 5, abs=1)]
    assert seen["mode"] == ["motor", 500] and seen["led"] == [True, [True, False, True]] and seen["off"] == [False] * 3
