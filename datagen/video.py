"""Encode one episode's frames, and join many encoded episodes into one file without encoding again."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from robot.errors import ConfigError, DataError

# A key frame every second one, as LeRobot writes: random access decodes two frames at most. No B-frames, so
# that files can be joined packet by packet.
OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "20", "g": "2", "bf": "0"},
    "libx265": {"preset": "ultrafast", "crf": "18", "x265-params": "keyint=2:bframes=0:log-level=none:pools=1"},
    "libsvtav1": {"preset": "12", "crf": "30", "g": "2", "svtav1-params": "lp=1:pred-struct=1"},
    "mpeg4": {"qscale": "2", "g": "2", "bf": "0"},
}


def check(codec: str, pixels: str) -> None:
    """Raise `ConfigError` when this installation of PyAV cannot encode so."""
    if codec == "png":
        return
    if codec not in OPTIONS:
        raise ConfigError(f"there is no video codec {codec!r}; choose one of: {', '.join(OPTIONS)}, png")
    try:
        formats = {f.name for f in av.Codec(codec, "w").video_formats or ()}
    except (av.FFmpegError, ValueError) as error:
        raise ConfigError(f"this PyAV has no encoder {codec!r}; choose another codec=") from error
    if formats and pixels not in formats:
        raise ConfigError(f"{codec} cannot store {pixels!r} pixels; try yuv420p")


def encode(frames: NDArray[np.uint8], fps: int, codec: str, pixels: str) -> bytes:
    """An mp4 file of frames (T, H, W, 3) RGB, frame t exactly at t / fps."""
    os.environ.setdefault("SVT_LOG", "1")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=fps, options=OPTIONS[codec])
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.thread_count = pixels, 1
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def join(parts: Sequence[Path], lengths: Sequence[int], path: Path, fps: int) -> None:
    """Put the encoded episodes one behind the other into `path`, packet by packet.

    Part k starts at sum(lengths[:k]) / fps. Raises `DataError` when a part has not as many frames as it should.
    """
    done = 0
    with av.open(str(path), "w", format="mp4") as out:
        target = None
        for part, length in zip(parts, lengths):
            with av.open(str(part)) as source:
                stream = source.streams.video[0]
                if target is None:
                    target = out.add_stream_from_template(stream, opaque=True)  # AV1 decoders are no encoders
                found = 0
                for packet in source.demux(stream):
                    if packet.dts is None:
                        continue
                    shift = int(Fraction(done, fps) / packet.time_base)
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = target
                    out.mux(packet)
                    found += 1
            if found != length:
                raise DataError(f"{part} has {found} frames where {length} are due; delete it and run again")
            done += length


def cut(file: Path, first: int, length: int, fps: int) -> bytes:
    """An mp4 of `length` frames of `file` from frame `first` on, packet by packet.

    Raises `DataError` when they are not there, or do not begin with a key frame.
    """
    buffer, found = io.BytesIO(), 0
    with av.open(str(file)) as source, av.open(buffer, "w", format="mp4") as out:
        stream = source.streams.video[0]
        target = out.add_stream_from_template(stream, opaque=True)
        source.seek(int(Fraction(first, fps) / stream.time_base), stream=stream)
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            number = round(Fraction(packet.pts) * packet.time_base * fps) - first
            if number >= length:
                break
            if number < 0:
                continue
            if number == 0 and not packet.is_keyframe:
                raise DataError(f"{file}: frame {first} is no key frame, so an episode cannot be cut there")
            shift = int(Fraction(first, fps) / packet.time_base)
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = target
            out.mux(packet)
            found += 1
    if found != length:
        raise DataError(f"{file} has {found} of the {length} frames from {first} on")
    return buffer.getvalue()
