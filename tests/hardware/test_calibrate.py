"""The calibrate command: zero and ranges from a moved arm, and files taken over."""

from __future__ import annotations

import io
import json
import os
import pty
import threading
import tty

import numpy as np
import pytest
from rich.console import Console

from hardware import calibrate
from hardware import calibration as cal
from hardware.bus import Bus
from hardware.port import LoopbackPort
from hardware.protocols.models import codec
from robot import config, registry
from robot.clock import SimClock
from robot.errors import ArmError, DataError
from tests.hardware.small_servos import so101_servos

MODEL = registry.build("model", "so101")


class Person:
    """Moves the joints of a limp arm: raw encoder counts, from `low` to `high` around `middle`."""

    def __init__(self, servos, middle, reach) -> None:
        self.servos, self.middle, self.reach = servos, middle, reach
        self.step = 0

    def put(self, raw) -> None:
        for s, counts in zip(self.servos.servos, raw):
            s.set("present_position", int((counts - s.get("homing_offset")) % 4096))

    def ask(self, words: str) -> None:
        assert "middle" in words
        self.put(self.middle)

    def finished(self) -> bool:
        self.step += 1
        self.put(self.middle + self.reach * np.sin(self.step / 20))
        return self.step > 200


def calibrated(middle, reach):
    servos, clock = so101_servos(), SimClock()
    person = Person(servos, np.array(middle), np.array(reach))
    bus = Bus(LoopbackPort(servos, clock), codec("feetech"), clock)
    quiet = Console(file=io.StringIO())
    return servos, calibrate.by_hand(bus, MODEL, clock, quiet, person.ask, person.finished)


def test_the_middle_becomes_zero_even_across_the_encoders_seam():
    servos, made = calibrated([100, 4000, 2048, 1000, 2500, 3000], [1200, 1100, 1100, 1000, 1500, 700])
    assert [s.get("homing_offset") for s in servos.servos] == [-1948, 1952, 0, -1048, 452, 952]
    q = made.to_rad(np.full(6, 2048.0))
    np.testing.assert_allclose(q[:5], 0.0, atol=0.01)
    assert made.motors[0].range_min == pytest.approx(2048 - 1200, abs=3)
    assert made.motors[0].range_max == pytest.approx(2048 + 1200, abs=3)


def test_a_joint_that_was_not_moved_is_named():
    with pytest.raises(ArmError, match=r"joint wrist_flex moved only 1[78]\d counts"):
        calibrated([2048] * 6, [1000, 1000, 1000, 90, 1000, 700])


def test_a_joint_that_turns_all_the_way_round_has_the_whole_turn():
    _, made = calibrated([2048] * 6, [1000, 1000, 1000, 900, 2046, 700])
    assert (made.motors[4].range_min, made.motors[4].range_max) == (0, 4095)


@pytest.fixture
def line():
    """The name of a pseudo-terminal behind which small servos answer."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    servos = so101_servos()

    def serve() -> None:
        while True:
            try:
                data = os.read(ours, 1024)
            except OSError:
                return
            reply = servos(data)
            if reply:
                os.write(ours, reply)

    threading.Thread(target=serve, daemon=True).start()
    yield os.ttyname(theirs), servos
    os.close(theirs)


def test_the_command_takes_over_a_file_and_does_not_replace_one_unasked(line, tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))
    name, servos = line
    given = tmp_path / "given.json"
    motors = {j.name: cal.Motor(j.servo, 0, 10 * k, 900, 3300) for k, j in enumerate(MODEL.joints)}
    cal.from_motors(MODEL, motors, "given").save(given, MODEL.names)
    settings = config.resolve("calibrate", [f"port={name}", f"file={given}", "arm.id=left"])
    assert calibrate.main(settings) == 0
    assert json.loads(cal.path_of("so101", "left").read_text()) == json.loads(given.read_text())
    assert [s.get("homing_offset") for s in servos.servos] == [0, 10, 20, 30, 40, 50]
    with pytest.raises(DataError, match="calibrated already; give force=true"):
        calibrate.main(settings)


def test_by_hand_needs_a_terminal(line, tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYHAND_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(ArmError, match="needs a terminal; give file="):
        calibrate.main(config.resolve("calibrate", [f"port={line[0]}"]))
