"""Serial ports on a pseudo-terminal, and the loop-back line's timing."""

from __future__ import annotations

import contextlib
import os
import pty
import tty

import pytest

from hardware.port import LoopbackPort, SerialPort, find_port, serial_number
from robot.clock import SimClock, WallClock
from robot.errors import BusError


@pytest.fixture
def line():
    """The far end's file descriptor and the device name of a raw pseudo-terminal."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)
    yield ours, theirs, name
    for fd in (ours, theirs):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_bytes_go_both_ways(line):
    far, _, name = line
    clock = WallClock()
    port = SerialPort(name, 1_000_000, clock)
    port.write(b"\xff\x00\x11\x13hello")
    assert os.read(far, 100) == b"\xff\x00\x11\x13hello"
    os.write(far, b"\x00\xff\r\n\x03")
    assert port.read(100, clock.now() + 1.0) == b"\x00\xff\r\n\x03"
    os.write(far, b"stale")
    clock.wait(clock.now() + 0.01)
    assert port.drain() == b"stale"
    assert port.read(1, clock.now() + 0.001) == b""
    port.baud = 115_200
    assert port.baud == 115_200
    port.close()
    port.close()


def test_what_a_port_does_not_have_is_logged(line, caplog):
    with caplog.at_level("INFO"):
        SerialPort(line[2]).close()
    assert all(f"port {line[2]} has no {what}" in caplog.text for what in ("low-latency mode", "RTS line"))


def test_a_port_that_does_not_exist():
    with pytest.raises(BusError, match="port /dev/nothing-here does not exist: check the USB cable and port="):
        SerialPort("/dev/nothing-here")


def test_a_busy_port(line):
    held = SerialPort(line[2])
    with pytest.raises(BusError, match="is busy: another program holds it"):
        SerialPort(line[2])
    held.close()
    SerialPort(line[2]).close()


def test_what_is_no_serial_port(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("x")
    with pytest.raises(BusError, match=r"notes\.txt cannot be opened"):
        SerialPort(str(file))


def test_an_unplugged_cable_is_one_clear_error(line):
    far, near, name = line
    clock = WallClock()
    port = SerialPort(name)
    os.close(near)
    os.close(far)
    for act in (lambda: port.read(1, clock.now() + 0.1), lambda: port.write(b"x"), port.drain):
        with pytest.raises(BusError, match=f"port {name} is gone"):
            act()
    port.close()


def test_ports_by_usb_serial_number(monkeypatch):
    class Known:
        def __init__(self, device, serial_number):
            self.device, self.serial_number = device, serial_number

    monkeypatch.setattr("hardware.port.list_ports.comports",
                        lambda: [Known("/dev/ttyACM0", "5A68"), Known("/dev/ttyS0", None)])
    assert find_port("5A68") == "/dev/ttyACM0"
    assert serial_number("/dev/ttyACM0") == "5A68"
    assert serial_number("/dev/ttyS0") is None
    with pytest.raises(BusError, match="no adapter has USB serial number 'X'; there are: 5A68 at /dev/ttyACM0"):
        find_port("X")


def test_the_loopback_takes_the_time_that_bytes_take():
    clock = SimClock()
    port = LoopbackPort(lambda data: data[::-1], clock, baud=100_000, delay=1e-3)
    port.write(b"abc")
    assert port.read(3, clock.now() + 1e-3) == b""
    assert clock.now() == pytest.approx(1e-3)
    assert port.read(3, 1.0) == b"cba"
    assert clock.now() == pytest.approx(3e-4 + 1e-3 + 3e-4)


def test_the_loopback_gives_what_came_before_the_deadline():
    clock = SimClock()
    port = LoopbackPort(lambda data: b"123456", clock, baud=10_000)
    port.write(b"x")
    assert port.read(6, 3.5e-3) == b"12"
    clock.wait(1.0)
    assert port.drain() == b"3456"
