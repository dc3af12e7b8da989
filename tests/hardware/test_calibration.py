"""Counts and radians, calibration files, and the servos' own memory."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware import calibration as cal
from hardware.bus import Bus
from hardware.port import LoopbackPort
from hardware.protocols.models import codec
from robot import registry
from robot.clock import SimClock
from robot.errors import ArmError, DataError
from tests.hardware.small_servos import so101_servos

MODEL = registry.build("model", "so101")
# the shape of a file that LeRobot's calibration writes
LEROBOT = {
    "shoulder_pan": {"id": 1, "drive_mode": 0, "homing_offset": -1470, "range_min": 758, "range_max": 3292},
    "shoulder_lift": {"id": 2, "drive_mode": 0, "homing_offset": 157, "range_min": 823, "range_max": 3219},
    "elbow_flex": {"id": 3, "drive_mode": 0, "homing_offset": 1027, "range_min": 887, "range_max": 3101},
    "wrist_flex": {"id": 4, "drive_mode": 0, "homing_offset": -1983, "range_min": 882, "range_max": 3233},
    "wrist_roll": {"id": 5, "drive_mode": 0, "homing_offset": 85, "range_min": 0, "range_max": 4095},
    "gripper": {"id": 6, "drive_mode": 0, "homing_offset": 1407, "range_min": 2031, "range_max": 3476},
}


@pytest.fixture
def made(tmp_path):
    clock, servos = SimClock(), so101_servos()
    path = tmp_path / "arm.json"
    path.write_text(json.dumps(LEROBOT))
    return Bus(LoopbackPort(servos, clock), codec("feetech"), clock), servos, path


def test_nominal_puts_zero_at_the_centre():
    made = cal.nominal(MODEL)
    np.testing.assert_array_equal(made.to_counts(np.zeros(6)), 2048)
    np.testing.assert_allclose(made.to_rad(np.full(6, 3072.0)), math.pi / 2)


def test_a_lerobot_file_is_read(made):
    loaded = cal.load(made[2], MODEL)
    q = loaded.to_rad(np.array([(758 + 3292) / 2, 823, 3101, 882, 2047.5, 2031.0]))
    degrees = np.degrees(q)
    assert degrees[0] == pytest.approx(0.0)
    assert degrees[1] == pytest.approx(-(3219 - 823) / 2 * 360 / 4096)
    assert degrees[2] == pytest.approx((3101 - 887) / 2 * 360 / 4096)
    assert degrees[4] == pytest.approx(0.0)
    assert q[5] == pytest.approx(MODEL.joints[5].lower)  # the closed end


def test_a_file_with_another_arms_servos_is_refused(made):
    swapped = {**LEROBOT, "shoulder_pan": LEROBOT["elbow_flex"]}
    made[2].write_text(json.dumps(swapped))
    with pytest.raises(DataError, match=r"shoulder_pan is servo 3, but servo 1 of a so101; .*calibrate again"):
        cal.load(made[2], MODEL)


@given(st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6))
def test_radians_survive_the_way_to_counts_and_back(values):
    made = cal.nominal(MODEL)
    back = made.to_rad(made.to_counts(np.array(values)).astype(float))
    assert np.abs(back - values).max() <= math.pi / 4096 + 1e-12


def test_a_reversed_servo_counts_the_other_way(made):
    motors = {name: cal.Motor(**row) for name, row in LEROBOT.items()}
    plain = cal.from_motors(MODEL, motors, "x")
    motors["shoulder_pan"] = cal.Motor(1, 1, -1470, 758, 3292)
    turned = cal.from_motors(MODEL, motors, "x")
    counts = np.full(6, 2200.0)
    assert turned.to_rad(counts)[0] == pytest.approx(-plain.to_rad(counts)[0])


def test_saves_at_once_and_loads_the_same(made, tmp_path):
    loaded = cal.load(made[2], MODEL)
    path = tmp_path / "deeper" / "mine.json"
    loaded.save(path, MODEL.names)
    assert json.loads(path.read_text()) == LEROBOT
    assert [p.name for p in path.parent.iterdir()] == ["mine.json"]
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        loaded.save(tmp_path / "file" / "x.json", MODEL.names)


@pytest.mark.parametrize("text,words", [
    ("{", "is no JSON"),
    ("[]", "holds no table of joints"),
    (json.dumps({**LEROBOT, "gripper": {"id": 6}}), "gripper has no whole number drive_mode"),
    (json.dumps({k: v for k, v in LEROBOT.items() if k != "elbow_flex"}), "has no joint elbow_flex"),
    (json.dumps({**LEROBOT, "gripper": {**LEROBOT["gripper"], "range_max": 2031}}), "gripper has the empty range"),
])
def test_a_bad_file_is_one_clear_line(tmp_path, text, words):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        cal.load(path, MODEL)
    with pytest.raises(DataError, match="cannot read calibration"):
        cal.load(tmp_path / "none.json", MODEL)


def test_servos_that_hold_something_else_are_refused_or_restored(made):
    bus, servos, path = made
    wanted = cal.load(path, MODEL)
    with pytest.raises(ArmError, match=r"joint shoulder_pan \(servo 1\) holds .*\(0, 0, 4095\).*arm.restore=true"):
        cal.check(bus, MODEL, wanted, restore=False)
    cal.check(bus, MODEL, wanted, restore=True)
    assert servos[1].get("homing_offset") == -1470
    assert servos[6].get("max_position") == 3476
    assert [s.get("lock") for s in servos.servos] == [1] * 6
    cal.check(bus, MODEL, wanted, restore=False)


def test_without_a_file_the_servos_own_ranges_count(made):
    bus, _, path = made
    assert cal.from_servos(bus, MODEL).source == "nominal values"
    wanted = cal.load(path, MODEL)
    cal.check(bus, MODEL, wanted, restore=True)
    found = cal.from_servos(bus, MODEL)
    assert found.source == "the servos' own memory"
    np.testing.assert_allclose(np.delete(found.zero, 4), np.delete(wanted.zero, 4))


def test_a_servo_that_cannot_be_read_is_named(made):
    bus, servos, _ = made
    servos.dead.add(4)
    with pytest.raises(ArmError, match=r"joint wrist_flex \(servo 4\)"):
        cal.from_servos(bus, MODEL)


def test_files_are_kept_by_arm_and_robot_id(tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))
    assert cal.path_of("so101", "left") == tmp_path / "calibration" / "so101" / "left.json"
    monkeypatch.delenv("STEADYHAND_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert cal.folder() == tmp_path / "steadyhand" / "calibration"


def test_a_virtual_arm_does_not_wear_a_real_ones_calibration():
    node = {"id": "left", "calibration": "left.json", "restore": True}
    assert cal.virtual(node) == {"id": "virtual-left", "calibration": "", "restore": True}
    assert node["id"] == "left"
