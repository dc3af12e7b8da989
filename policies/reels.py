"""Videos into one flat file of frames, as many files at a time as there are cores."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from robot.errors import DataError


@dataclass(frozen=True)
class Reel:
    """A video file, and where its frames go: number in the file -> number in the dataset."""

    file: Path
    fps: float
    rows: Mapping[int, int]


def unroll(reels: Sequence[Reel], out: Path, shape: tuple[int, ...]) -> None:
    """Write the frames of `reels` to `out`, raw uint8 of `shape` (N, H, W, 3), each at its place.

    Written, not mapped: when a disk fills up, a write raises, but a mapped page ends the process (SIGBUS).
    Raises `DataError` for a video that is damaged or too short, or when frames are of another size, and `OSError`
    when the disk is full.
    """
    due = sum(len(reel.rows) for reel in reels)
    if due != shape[0]:
        raise DataError(f"the videos of {out.stem} hold {due} frames, {shape[0]} are due; check with: steadyhand audit")
    with out.open("wb") as target, ThreadPoolExecutor(os.cpu_count()) as pool:
        # Decoding leaves Python's lock alone.
        jobs = [pool.submit(_write, reel, target.fileno(), shape[1:]) for reel in reels]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _write(reel: Reel, target: int, shape: tuple[int, ...]) -> None:
    found = 0
    for number, frame in decode(reel.file, reel.fps):
        if number not in reel.rows:
            continue
        if frame.shape != shape:
            raise DataError(f"frame {number} of {reel.file} is {frame.shape}, where {shape} is due")
        data = np.ascontiguousarray(frame).tobytes()
        if os.pwrite(target, data, reel.rows[number] * len(data)) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        found += 1
    if found != len(reel.rows):
        raise DataError(f"{reel.file} has {found} of its {len(reel.rows)} frames; restore or regenerate it")


def decode(file: Path, fps: float) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Number and picture (H, W, 3) RGB of every frame, from front to back, on one thread."""
    try:
        with av.open(str(file)) as container:
            container.streams.video[0].thread_count = 1
            for frame in container.decode(video=0):
                yield round(float(frame.pts * frame.time_base) * fps), frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, OSError, IndexError) as error:
        raise DataError(f"{file} cannot be decoded ({error}); restore or regenerate it") from error
