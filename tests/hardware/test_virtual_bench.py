"""The bench as a process: a serial port for any client, a control socket, a clean end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hardware.bus import Bus
from hardware.port import SerialPort
from hardware.protocols.models import codec, table
from hardware.virtual.client import Bench, control_path
from hardware.virtual.frames import FrameWriter, cameras
from hardware.virtual.pty import LONGEST, PtyLine
from robot import registry
from robot.clock import WallClock
from robot.errors import BusError, DataError

CONFIG = {"model": "so101", "plant": "joints"}
CLOCK = WallClock()
IDS = range(1, 7)


def until(check, seconds: float = 5.0):
    """Wait for `check()` to be true; returns what it gave."""
    end = CLOCK.now() + seconds
    while CLOCK.now() < end:
        if found := check():
            return found
        CLOCK.wait(CLOCK.now() + 0.02)
    raise AssertionError(f"not within {seconds} s")


@pytest.fixture(scope="module")
def bench():
    with Bench.start(CONFIG) as running:
        yield running


@pytest.fixture
def bus(bench):
    port = SerialPort(bench.port)
    yield Bus(port, codec("feetech"), CLOCK)
    port.close()
    bench.clear()


def test_servos_answer_on_a_serial_port(bus):
    assert until(lambda: bus.who(IDS) == list(IDS))
    assert bus.get(1, table("sts3215")["model_number"]) == 777


def test_the_port_s_baud_rate_counts(bus):
    bus.port.baud = 500_000
    assert bus.who(IDS) == []
    bus.port.baud = 1_000_000
    assert until(lambda: bus.who(IDS) == list(IDS))


def test_goals_move_the_arm(bus, bench):
    goal = table("sts3215")["goal_position"]
    bus.sync_write(goal.address, [(1, goal.encode(2200))])
    assert until(lambda: abs(bench.status()["q"][0] - 152 * 2 * np.pi / 4096) < 0.02)
    assert bench.status()["energised"] == [True] + [False] * 5
    bench.reset(0)
    assert abs(bench.status()["q"][0]) < 0.01


def test_faults_by_the_control_socket(bus, bench):
    bench.fault("servo 3 off")
    assert until(lambda: bus.who(IDS) == [1, 2, 4, 5, 6])
    assert bench.status()["faults"] == ["servo 3 off"]
    bench.clear()
    assert until(lambda: bus.who(IDS) == list(IDS))


def test_refusals_come_back_as_words(bench):
    with pytest.raises(BusError, match="no component 'engine'"):
        bench.fault("engine 1 off")
    with pytest.raises(BusError, match="there are: hello"):
        bench.ask({"op": "dance"})
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(bench.control))
        line.sendall(b"not json\n")
        assert b'"ok": false' in line.recv(1000)
    assert bench.status()["ok"]


def test_unplug_and_plug_back(bench):
    port = SerialPort(bench.port)
    bus = Bus(port, codec("feetech"), CLOCK)
    bench.fault("adapter off for 0.5")

    def gone() -> bool:
        try:
            bus.who([1])
        except BusError as error:
            return "gone" in str(error)
        return False

    assert until(gone)
    assert not os.path.lexists(bench.port)  # the terminal's number may be somebody else's by now
    port.close()
    until(lambda: os.path.exists(bench.port))
    again = SerialPort(bench.port)
    assert until(lambda: Bus(again, codec("feetech"), CLOCK).who([1]) == [1])
    again.close()


def test_an_existing_file_is_not_replaced(tmp_path):
    (tmp_path / "arm").write_text("mine")
    with pytest.raises(BusError, match="is not a link"):
        Bench.start(CONFIG, tmp_path / "arm")
    assert (tmp_path / "arm").read_text() == "mine"


def test_two_benches_do_not_share_a_link(bench):
    with pytest.raises(BusError, match="another bench serves"):
        Bench.start(CONFIG, bench.port)
    assert bench.status()["ok"]


def test_stop_leaves_nothing(tmp_path):
    bench = Bench.start(CONFIG, tmp_path / "arm")
    assert (tmp_path / "arm").is_symlink()
    bench.stop()
    bench.stop()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_bench_left_is_cleared(tmp_path):
    link = tmp_path / "arm"
    bench = Bench.start(CONFIG, link)
    (tmp_path / "arm.frames").write_bytes(b"old pictures")
    bench.process.kill()
    bench.process.wait()
    with Bench.start(CONFIG, link) as again:
        assert again.status()["ok"] and again.cameras == {}
        again.process.kill()
        again.process.wait()
    bench.stop()
    assert list(tmp_path.iterdir()) == []


def test_a_bench_ends_after_its_starter_died(tmp_path):
    link = tmp_path / "arm"
    code = (f"from hardware.virtual.client import Bench; import os\n"
            f"Bench.start({CONFIG | {'bench': {'linger': 0.4}}!r}, {str(link)!r}); os._exit(9)")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=30, check=False)
    assert Bench.attach(link).status()["ok"]  # it outlives its starter for a while
    assert until(lambda: not control_path(link).exists())
    assert until(lambda: not os.path.lexists(link))


def test_bad_settings_are_refused():
    with pytest.raises(BusError, match="bench has no key 'colour'"):
        Bench.start(CONFIG | {"bench": {"colour": 3}})


def test_faults_from_the_start_keep_their_times(tmp_path):
    with Bench.start(CONFIG | {"bench": {"faults": "servo 3 off for 3; servo 5 off at 900"}}) as bench:
        assert bench.status()["faults"] == ["servo 3 off for 3", "servo 5 off at 900"]
        port = SerialPort(bench.port)
        bus = Bus(port, codec("feetech"), CLOCK)
        assert until(lambda: bus.who(IDS) == [1, 2, 4, 5, 6], 3.0)
        assert until(lambda: bus.who(IDS) == list(IDS), 10.0)
        assert bench.status()["faults"] == ["servo 5 off at 900"]
        port.close()


def test_emulate_serves_until_interrupted(tmp_path):
    link = tmp_path / "arm"
    with subprocess.Popen([sys.executable, "-m", "robot.cli", "emulate", "arm=so101", f"link={link}"],
                          stdout=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: control_path(link).exists(), 20.0)
            port = SerialPort(str(link))
            assert until(lambda: Bus(port, codec("feetech"), CLOCK).who(IDS) == list(IDS))
            port.close()
            done = subprocess.run([sys.executable, "-m", "hardware.virtual.client", str(link), "servo 3 off for 9"],
                                  capture_output=True, text=True, timeout=20, check=False)
            assert done.returncode == 0 and "servo 3 off for 9" in done.stdout
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20)[0]
        finally:
            process.kill()
    assert process.returncode == 0
    assert "SIMULATED" in said and str(link) in said
    assert list(tmp_path.iterdir()) == []


def test_emulate_refuses_a_file_in_one_line(tmp_path):
    (tmp_path / "arm").write_text("mine")
    done = subprocess.run([sys.executable, "-m", "robot.cli", "emulate", f"link={tmp_path / 'arm'}"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "not a link" in done.stderr


def test_a_pty_line_knows_what_a_terminal_takes_and_leaves_no_trace_of_asking(tmp_path):
    line = PtyLine(tmp_path / "arm", 1_000_000)
    client = os.open(tmp_path / "arm", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    assert 0 < line.hearing <= LONGEST and 0 < line.speaking <= LONGEST
    assert line.read() == b""
    with contextlib.suppress(BlockingIOError):
        assert os.read(client, 10) == b""
    line.close()
    os.close(client)


def test_a_pty_line_cleans_up(tmp_path):
    line = PtyLine(tmp_path / "arm", 1_000_000)
    client = os.open(tmp_path / "arm", os.O_RDWR | os.O_NOCTTY)
    os.write(client, b"\x00\xff\n\r\x03")
    assert until(line.read) == b"\x00\xff\n\r\x03"  # raw: nothing translated, nothing interpreted
    line.write(b"\r\n\x04")
    assert os.read(client, 10) == b"\r\n\x04"
    line.close()
    os.close(client)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- a scene behind the servos
@pytest.fixture(scope="module")
def scene():
    groups = {"plant": "bullet", "world": "tabletop", "task": "pick_place", "randomization": "train",
              "renderer": "tiny", "bench": {"camera_rate": 5.0}}
    with Bench.start({"model": "so101", **groups}) as running:
        yield running


def newest(camera, max_age: float = 1.0):
    def look():
        try:
            return camera.read(max_age)
        except TimeoutError:
            return None

    return until(look, 10.0)


def test_a_scene_has_a_job_and_pictures(scene):
    assert scene.instruction and set(scene.cameras) == {"front", "wrist"}
    first = newest(scene.cameras["front"])
    assert first.rgb.shape == (128, 128, 3) and first.rgb.std() > 5
    assert until(lambda: newest(scene.cameras["front"]).stamp > first.stamp)
    assert registry.build("camera", "virtual", link=scene.port).keys() == {"front", "wrist"}
    status = scene.status()
    assert status["success"] is False and 0.0 <= status["progress"] < 1.0


def test_a_reset_builds_another_scene_here_and_in_the_pictures(scene):
    said = scene.reset(11)
    before = newest(scene.cameras["front"])
    assert scene.reset(12) == scene.instruction and scene.reset(11) == said
    stamp = CLOCK.now()
    again = until(lambda: (f := newest(scene.cameras["front"])).stamp > stamp and f)
    assert np.abs(again.rgb.astype(int) - before.rgb).mean() < 12  # the same scene but for noise and a limp arm


def test_camera_faults_reach_the_pictures(scene):
    scene.fault("camera wrist off")
    until(lambda: _is_late(scene.cameras["wrist"]), 10.0)
    assert newest(scene.cameras["front"])
    scene.clear()
    assert newest(scene.cameras["wrist"], 0.5)
    with pytest.raises(BusError, match="no camera 'rear'"):
        scene.fault("camera rear off")


def _is_late(camera) -> bool:
    try:
        camera.read(0.8)
    except TimeoutError:
        return True
    return False


def test_servos_move_the_arm_of_the_scene(scene):
    port = SerialPort(scene.port)
    bus, goal = Bus(port, codec("feetech"), CLOCK), table("sts3215")["goal_position"]
    start = scene.status()["q"][0]
    bus.sync_write(goal.address, [(1, goal.encode(round(2048 + (start + 0.3) * 4096 / (2 * np.pi))))])
    assert until(lambda: abs(scene.status()["q"][0] - start - 0.3) < 0.05)
    port.close()


# ---------------------------------------------------------------- frames
def test_frames_between_processes(tmp_path):
    path = tmp_path / "frames"
    writer = FrameWriter(path, {"front": (6, 8), "wrist": (4, 4)})
    seen = cameras(path)
    with pytest.raises(TimeoutError, match="not delivered"):
        seen["wrist"].read(1.0)
    rgb = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    for k in range(7):
        writer.put("front", rgb + k, CLOCK.now())
    frame = seen["front"].read(1.0)
    assert np.array_equal(frame.rgb, rgb + 6)
    writer.put("front", rgb, CLOCK.now() - 2.0)
    with pytest.raises(TimeoutError, match=r"limit 1\.000"):
        seen["front"].read(1.0)
    assert np.array_equal(frame.rgb, rgb + 6)


def test_no_frames_is_one_line(tmp_path):
    with pytest.raises(DataError, match="no virtual cameras"):
        cameras(tmp_path / "nothing")
