"""PyBullet behind one door: imported quietly, its C-level chatter silenced, NumPy support required."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from robot.errors import SceneError


@contextmanager
def silenced() -> Iterator[None]:
    """Send what C code writes to stdout and stderr to nowhere while the block runs."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, nowhere):
            os.close(descriptor)


with silenced():
    import pybullet

if not pybullet.isNumpyEnabled():
    raise SceneError("this pybullet was built without NumPy; reinstall it with: pip install --force-reinstall pybullet")
