"""Pictures between processes without copies through a pipe: a ring of frames in one memory-mapped file.

One writer, any number of readers, no lock: a reader copies the newest complete slot and checks that the
writer did not come round to it meanwhile. Stamps are on `WallClock`, which all processes of a host share.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from robot.clock import WallClock
from robot.errors import DataError
from robot.interfaces import Frame, Image

HEADER, SLOTS, META = 4096, 4, 64


class FrameWriter:
    """The camera side: `put` publishes a picture. Shapes are fixed when the file is made."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
        """`shapes`: camera name -> (height, width). Writes the file aside, then renames it."""
        layout, offset = {}, HEADER
        for name, (height, width) in shapes.items():
            layout[name] = {"offset": offset, "height": height, "width": width}
            offset += META + SLOTS * _slot(height, width)
        header = json.dumps(layout).encode()
        if len(header) > HEADER:
            raise DataError(f"{len(shapes)} cameras do not fit in the header of {path}; use fewer")
        aside = path.with_name(path.name + ".new")
        with aside.open("wb") as file:
            file.write(header.ljust(HEADER))
            file.truncate(offset)
        os.replace(aside, path)
        self._views = _open(path, mmap.ACCESS_WRITE)

    def put(self, name: str, rgb: Image, stamp: float) -> None:
        """Publish `rgb` (H, W, 3), taken at `stamp` (s)."""
        view = self._views[name]
        count = int(view.count[0]) + 1
        view.stamps[count % SLOTS] = stamp
        view.pixels[count % SLOTS] = rgb
        view.count[0] = count

    def close(self) -> None:
        """Let go of the file; readers that have it open keep the last picture."""
        self._views = {}


class SharedCamera:
    """A `Camera` that reads what a `FrameWriter` in another process publishes."""

    def __init__(self, path: Path, name: str) -> None:
        views = _open(path, mmap.ACCESS_READ)
        if name not in views:
            raise DataError(f"{path} has no camera {name!r}; it has: {', '.join(views)}")
        self.name, self._view, self._clock = name, views[name], WallClock()

    def read(self, max_age: float) -> Frame:
        """The newest picture; raises `TimeoutError` when it is older than `max_age` (s) or there is none."""
        view = self._view
        for _ in range(8):
            count = int(view.count[0])
            if count == 0:
                break
            frame = Frame(float(view.stamps[count % SLOTS]), view.pixels[count % SLOTS].copy())
            if int(view.count[0]) <= count + SLOTS - 2:
                age = self._clock.now() - frame.stamp
                if age > max_age:
                    raise TimeoutError(f"camera {self.name}: the newest picture is {age:.3f} s old, "
                                       f"limit {max_age:.3f} s; is the virtual bench still running?")
                return frame
        raise TimeoutError(f"camera {self.name} has not delivered a picture yet")


def cameras(path: Path) -> dict[str, SharedCamera]:
    """Every camera in the frame file `path`, by name. Raises `DataError` when it is not one."""
    return {name: SharedCamera(path, name) for name in _layout(path)}


class _View:
    def __init__(self, memory: mmap.mmap, offset: int, height: int, width: int) -> None:
        slot = _slot(height, width)
        flat = np.frombuffer(memory, np.uint8, META + SLOTS * slot, offset)
        self.count = flat[:8].view(np.uint64)
        self.stamps = flat[8 : 8 + 8 * SLOTS].view(np.float64)
        rows = flat[META:].reshape(SLOTS, slot)
        self.pixels = rows[:, : height * width * 3].reshape(SLOTS, height, width, 3)


def _slot(height: int, width: int) -> int:
    return -(-height * width * 3 // 64) * 64


def _layout(path: Path) -> dict[str, dict[str, int]]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(HEADER))
    except (OSError, ValueError) as error:
        raise DataError(f"no virtual cameras at {path}: {error}") from error
    return {str(k): {n: int(x) for n, x in v.items()} for k, v in found.items()}


def _open(path: Path, access: int) -> dict[str, _View]:
    layout = _layout(path)
    with path.open("r+b" if access == mmap.ACCESS_WRITE else "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=access)
    return {name: _View(memory, **shape) for name, shape in layout.items()}
