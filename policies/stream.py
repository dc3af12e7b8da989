"""Frames straight from a dataset's videos, for those who would rather spend decoding than disk on a cache."""

from __future__ import annotations

import bisect
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from robot.errors import DataError

OPEN = 32  # video files kept open
NEAR = 8  # frames ahead that are reached by decoding on rather than by seeking


@dataclass(frozen=True)
class Span:
    """A run of frames of the dataset in one video file."""

    first: int  # number in the dataset
    length: int
    file: Path
    offset: int  # number in the file


class VideoFrames:
    """Looks like the (N, H, W, 3) uint8 array that a cache would be; indexing decodes.

    Indices are an integer or an integer array (B,), in any order. Raises `DataError` for a frame that is not there.
    """

    def __init__(self, spans: Sequence[Span], shape: tuple[int, ...], fps: float) -> None:
        self.spans, self.shape, self.fps = list(spans), shape, fps
        self.dtype = np.dtype(np.uint8)
        self._firsts = [s.first for s in self.spans]
        self._open: OrderedDict[Path, Reader] = OrderedDict()
        self._owner = os.getpid()  # of the open files
        self._foreign: list[Any] = []

    def __len__(self) -> int:
        return self.shape[0]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict(), "_foreign": []}  # a worker opens files of its own

    def __getitem__(self, index: int | NDArray[Any]) -> NDArray[np.uint8]:
        wanted = np.asarray(index, np.int64)
        flat = wanted.ravel()
        if flat.size and (flat.min() < 0 or flat.max() >= len(self)):
            raise IndexError(f"frame {int(flat.max())} of {len(self)}")
        out = np.empty((len(flat), *self.shape[1:]), np.uint8)
        for at in np.argsort(flat, kind="stable"):
            span = self.spans[bisect.bisect_right(self._firsts, int(flat[at])) - 1]
            out[at] = self._reader(span.file).frame(span.offset + int(flat[at]) - span.first)
        return out.reshape(*wanted.shape, *self.shape[1:])

    def _reader(self, file: Path) -> Reader:
        if self._owner != os.getpid():  # forked: a file that two processes have open has one position
            self._foreign.append(self._open)  # kept, for closing them is the parent's
            self._open, self._owner = OrderedDict(), os.getpid()
        if file not in self._open:
            self._open[file] = Reader(file, self.fps)
            while len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(file)
        return self._open[file]


class Reader:
    """One open video file with constant frame rate."""

    def __init__(self, file: Path, fps: float) -> None:
        self.file, self.fps = file, fps
        self._last: tuple[int, NDArray[np.uint8]] | None = None
        try:
            self._container = av.open(str(file))
            self._stream = self._container.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise DataError(f"{file} cannot be decoded ({error}); restore or regenerate it") from error
        self._stream.thread_count = 1
        self._frames: Any = None
        self._at = -1  # number of the frame decoded last

    def frame(self, number: int) -> NDArray[np.uint8]:
        """Frame `number` of the file, (H, W, 3). Raises `DataError` when it cannot be decoded."""
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        try:
            rgb = self._decode(number)
        except (av.FFmpegError, OSError) as error:
            raise DataError(f"{self.file}: frame {number} cannot be decoded ({error})") from error
        self._last = number, rgb
        return rgb

    def _decode(self, number: int) -> NDArray[np.uint8]:
        if self._frames is None or not self._at < number <= self._at + NEAR:
            at = round(number / self.fps / self._stream.time_base)
            self._container.seek(at, stream=self._stream)
            self._frames = self._container.decode(self._stream)
        for frame in self._frames:
            self._at = round(float(frame.pts * frame.time_base) * self.fps)
            if self._at == number:
                return np.asarray(frame.to_ndarray(format="rgb24"))
            if self._at > number:
                break
        self._frames = None
        raise DataError(f"{self.file} has no frame {number}; restore or regenerate it")

    def close(self) -> None:
        self._container.close()
