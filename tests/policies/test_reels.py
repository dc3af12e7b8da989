"""Videos into one flat file: every frame at its place, whatever file it comes from, and damage told."""

import numpy as np
import pytest

from datagen import video
from policies.reels import Reel, decode, unroll
from robot.errors import DataError

FPS, SHAPE = 10, (32, 32, 3)


def film(path, levels):
    frames = np.stack([np.full(SHAPE, level, np.uint8) for level in levels])
    path.write_bytes(video.encode(frames, FPS, "libx264", "yuv444p"))
    return path


def test_every_frame_goes_where_it_belongs_and_others_nowhere(tmp_path):
    one, two = film(tmp_path / "1.mp4", (40, 80, 120)), film(tmp_path / "2.mp4", (160, 200))
    reels = [Reel(two, FPS, {0: 1, 1: 0}), Reel(one, FPS, {0: 3, 2: 2})]
    unroll(reels, tmp_path / "front.u8", (4, *SHAPE))
    found = np.fromfile(tmp_path / "front.u8", np.uint8).reshape(4, *SHAPE).astype(int)
    assert np.abs(found.mean((1, 2, 3)) - [200, 160, 120, 40]).max() < 3


def test_frames_come_with_their_numbers(tmp_path):
    numbers = [number for number, _ in decode(film(tmp_path / "1.mp4", (40, 80, 120)), FPS)]
    assert numbers == [0, 1, 2]


@pytest.mark.parametrize(("rows", "shape", "words"), [
    ({0: 0, 1: 1}, (3, *SHAPE), "hold 2 frames, 3 are due"),
    ({0: 0, 5: 1}, (2, *SHAPE), "has 1 of its 2 frames"),
    ({0: 0, 1: 1}, (2, 16, 16, 3), r"frame 0 of .* is \(32, 32, 3\), where \(16, 16, 3\) is due"),
])
def test_what_does_not_fit_is_told(tmp_path, rows, shape, words):
    reels = [Reel(film(tmp_path / "1.mp4", (40, 80, 120)), FPS, rows)]
    with pytest.raises(DataError, match=words):
        unroll(reels, tmp_path / "front.u8", shape)


def test_a_damaged_video_is_told(tmp_path):
    path = tmp_path / "1.mp4"
    path.write_bytes(b"not a video")
    with pytest.raises(DataError, match=r"1\.mp4 cannot be decoded"):
        unroll([Reel(path, FPS, {0: 0})], tmp_path / "front.u8", (1, *SHAPE))
