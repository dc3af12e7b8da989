"""The whole self-test of an arm with each fault that it can be given, servo by servo: one line, and no other.

Minutes long: `pytest -m slow tests/hardware/test_selftest_faults.py`. The fast tests are in test_selftest.py.
"""

from __future__ import annotations

import pytest

from hardware.selftest import history, joints
from hardware.selftest.sheet import Sheet, Verdict
from hardware.virtual.faults import MEANING, PER_SERVO
from robot.injection import parse
from tests.hardware.test_selftest import MOTION, WIRE, Desk

pytestmark = pytest.mark.slow
SERVOS = range(1, 7)
# fault of one servo -> the one line it must show in, whichever servo it is
EACH = {
    "servo {} off": "scan/answers",
    "servo {} stuck": "configuration/writes",
    "servo {} wrong": "scan/kind",
    "servo {} slow": "communication/delay",
    "reply {} off": "scan/answers",
    "reply {} garbage 0.2": "communication/answers",
    "reply {} slow": "communication/delay",
    "motor {} off": "joints/follows",
    "motor {} stuck": "joints/follows",
    "motor {} slow": "joints/friction",
    "encoder {} off": "sensors/flags",
    "encoder {} stuck": "joints/follows",
    "encoder {} garbage": "sensors/noise",
    "encoder {0} wrong 200 when speed {0} > 0.2": "joints/jumps",
    "temperature {} wrong": "sensors/temperature",
    "config {} wrong": "configuration/registers",
}
# a motor that cannot lift what hangs on it does not follow; a limp elbow slips as it falls, and lies where it cannot
LOADED = {"motor 2 slow": "joints/follows", "motor 3 slow": "joints/follows",
          "encoder 3 wrong 200 when speed 3 > 0.2": "sensors/position"}
ONE = {text.format(servo): LOADED.get(text.format(servo), line) for text, line in EACH.items() for servo in SERVOS}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))


def whole(desk: Desk) -> Sheet:
    """Every stage as the command runs them: nothing moves while something is broken."""
    sheet = desk.wire()
    if sheet.verdict() is not Verdict.FAIL:
        joints.run(desk.model, desk.connect, desk.clock, sheet)
    return sheet


def test_every_kind_of_fault_is_tried_on_every_servo():
    tried = {(f.component, f.kind, f.instance) for f in map(parse, ONE)}
    assert tried == {(component, kind, str(servo))
                     for component in PER_SERVO for kind in MEANING[component] for servo in SERVOS}


@pytest.mark.parametrize("fault, line", {**ONE, **WIRE, **MOTION}.items())
def test_a_fault_shows_in_its_line_only(fault, line):
    desk = Desk(fault)
    assert whole(desk).troubled() == [line]
    desk.clock.wait(desk.clock.now() + 0.02)
    assert not any(desk.rig.energised)


def test_nor_in_the_trend_of_an_arm_that_was_well(tmp_path):
    path = tmp_path / "runs.jsonl"
    for _ in range(history.FEWEST):
        history.append(path, whole(Desk()))
    for fault, line in (("config 2 wrong", "configuration/registers"), ("motor 5 slow", "joints/friction"),
                        ("", None)):
        sheet = whole(Desk(fault))
        history.compare(history.load(path), sheet)
        assert sheet.troubled() == ([line] if line else [])
