"""PyBullet's window for a person who watches: opened only where there is a display, and aimed at the table."""

from __future__ import annotations

import ctypes
import sys

from robot.errors import SceneError
from sim.bullet import pybullet

DISTANCE, YAW, PITCH, TARGET = 0.6, 60.0, -32.0, (0.16, 0.0, 0.05)  # m, degrees, degrees, m: what is looked at


def opened() -> int:
    """The client of a new window that looks at the table. Raises `SceneError` where there is no display."""
    if not displayed():
        raise SceneError("PyBullet cannot open its window: no display answers; use gui=false, or set DISPLAY")
    client = int(pybullet.connect(pybullet.GUI))
    if client < 0:
        raise SceneError("PyBullet could not open its window; use gui=false")
    for panel in (pybullet.COV_ENABLE_GUI, pybullet.COV_ENABLE_RGB_BUFFER_PREVIEW,
                  pybullet.COV_ENABLE_DEPTH_BUFFER_PREVIEW, pybullet.COV_ENABLE_SEGMENTATION_MARK_PREVIEW):
        pybullet.configureDebugVisualizer(panel, 0, physicsClientId=client)
    pybullet.resetDebugVisualizerCamera(DISTANCE, YAW, PITCH, TARGET, physicsClientId=client)
    return client


def displayed() -> bool:
    """Whether a window can be opened: where X does not answer, PyBullet would end the whole process without a word."""
    if not sys.platform.startswith("linux"):
        return True
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return False
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None)
    if display:
        x11.XCloseDisplay(ctypes.c_void_p(display))
    return bool(display)
