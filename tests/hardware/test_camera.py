"""The camera thread: newest picture, age limits, and reopening of a device that fails."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
import pytest

from hardware.camera import OpenCVCamera, opencv, square
from robot import config, registry
from robot.errors import ConfigError
from robot.interfaces import Camera


class Device:
    """Gives `pictures` grey pictures, then none."""

    def __init__(self, pictures: int, opens: bool = True) -> None:
        self.left, self.opens, self.released = pictures, opens, False

    def isOpened(self) -> bool:
        return self.opens

    def read(self):
        time.sleep(0.002)
        if self.left <= 0:
            return False, None
        self.left -= 1
        return True, np.full((48, 64, 3), self.left % 256, dtype=np.uint8)

    def release(self) -> None:
        self.released = True


def test_reads_the_newest_picture_within_its_age():
    camera = OpenCVCamera("front", lambda: Device(10_000), size=32)
    assert isinstance(camera, Camera)
    first = camera.read(1.0)
    assert first.rgb.shape == (32, 32, 3)
    second = camera.read(0.0005 + 1.0)
    assert second.stamp >= first.stamp
    camera.close()
    camera.close()
    time.sleep(0.03)
    with pytest.raises(TimeoutError, match=r"camera front: the newest picture is 0\.\d\d s old"):
        camera.read(0.01)


def test_reopens_a_device_that_fails(monkeypatch):
    monkeypatch.setattr("hardware.camera.RETRY", 0.01)
    devices = iter([Device(0, opens=False), Device(3), *[Device(10_000) for _ in range(3)]])
    made = []

    def connect():
        made.append(next(devices))
        return made[-1]

    camera = OpenCVCamera("wrist", connect, size=16)
    deadline = time.monotonic() + 5
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(made) == 3
    assert camera.read(1.0).rgb.shape == (16, 16, 3)
    assert camera.reopened == 2
    assert made[0].released and made[1].released
    camera.close()
    assert not any(t.name == "camera wrist" for t in threading.enumerate())


def test_a_camera_that_stops_never_makes_the_control_loop_wait(monkeypatch):
    camera = OpenCVCamera("front", lambda: Device(3), size=16)
    camera.read(5.0)
    time.sleep(0.05)

    def waits(*_, **__):
        raise AssertionError("the loop was made to wait for a picture")

    monkeypatch.setattr(camera._arrived, "wait_for", waits)
    with pytest.raises(TimeoutError, match=r"the newest picture is 0\.\d\d s old"):
        camera.read(0.01)
    camera.close()


def test_a_camera_that_never_opens_times_out():
    camera = OpenCVCamera("front", lambda: Device(0, opens=False))
    with pytest.raises(TimeoutError, match="has never delivered a picture"):
        camera.read(0.02)
    camera.close()


def test_square_takes_the_middle_and_turns_bgr_to_rgb():
    picture = np.zeros((40, 80, 3), dtype=np.uint8)
    picture[:, :20] = 255  # outside the middle square
    picture[:, 20:60] = (255, 0, 0)  # blue in BGR
    out = square(picture, 20)
    assert out.shape == (20, 20, 3)
    np.testing.assert_array_equal(out, np.broadcast_to(np.array([0, 0, 255], np.uint8), out.shape))


def test_plays_a_video_file_as_a_camera(tmp_path):
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 48))
    for _ in range(20):
        writer.write(np.full((48, 64, 3), 128, dtype=np.uint8))
    writer.release()
    cameras = registry.build("camera", {"_option_": "opencv", "front": path, "size": 24})
    frame = cameras["front"].read(5.0)
    assert abs(int(frame.rgb.mean()) - 128) < 5
    cameras["front"].close()


def test_no_camera_at_all_is_refused():
    with pytest.raises(ConfigError, match=r"camera\.front="):
        opencv(front="", wrist="")


def test_is_an_option():
    assert "opencv" in config.options("camera")


def test_whole_pictures_can_be_had():
    picture = np.zeros((30, 40, 3), np.uint8)
    picture[..., 0] = 200
    out = square(picture, 0)
    assert out.shape == (30, 40, 3) and out[0, 0].tolist() == [0, 0, 200]
