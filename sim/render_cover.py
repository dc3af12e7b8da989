"""Where a picture cannot show its backdrop, because a table fills it: what is not drawn costs nothing.

A convex box that the four corner rays of a band of pixels meet fills the whole band. A software rasteriser pays for
every pixel that it only compares depths of: a backdrop that nobody sees was a twelfth of a picture's time.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from robot.interfaces import Array
from sim.picture import matrices
from sim.scene import Part

BANDS = 8  # rows of pixels that are judged together, a picture
EVERYWHERE = (0, BANDS)
Span = tuple[int, int] | None  # first band and the one after the last; None for nowhere


class Cover:
    """The largest box of a scene, which most pictures are full of."""

    def __init__(self, parts: Sequence[Part]) -> None:
        boxes = [part for part in parts if part.shape.kind == "box"]
        box = max(boxes, key=lambda part: float(np.prod(part.shape.size)), default=None)
        self._frame = -1 if box is None else box.frame
        self._local, self._half = np.eye(4), np.ones(3)
        if box is not None:
            self._local = matrices(np.array([[*box.shape.position, *box.shape.quaternion]]))[0]
            self._half = np.array(box.shape.size, dtype=np.float64) / 2
        self._known: dict[int, tuple[bytes, Span]] = {}  # of each view: for which poses, and where

    def spans(self, world: Array, eyes: Array, rays: Array, reach: Sequence[tuple[float, float]]) -> list[Span]:
        """The bands in which each of V views may show its backdrop.

        `world` (F, 4, 4) poses of frames; `eyes` (V, 3) m; `rays` (V, 3, 3) turn (x, y, 1) of a picture, from -1 to
        1 and y down, into a direction that goes one metre deep; `reach` m, from where to where each view sees.
        """
        if self._frame < 0:
            return [EVERYWHERE] * len(eyes)
        box = world[self._frame]
        there = box.tobytes()
        out = []
        for view, (eye, ray) in enumerate(zip(eyes, rays)):
            key = there + eye.tobytes() + ray.tobytes()
            known = self._known.get(view)
            if known is None or known[0] != key:
                known = self._known[view] = key, self._span(box, eye, ray, reach[view])
            out.append(known[1])
        return out

    def _span(self, box: Array, eye: Array, ray: Array, reach: tuple[float, float]) -> Span:
        pose = box @ self._local
        inverse = (pose[:3, :3] / self._half).T
        start, ways = (inverse @ (eye - pose[:3, 3])).tolist(), (inverse @ ray).tolist()
        # Floats, not arrays: most pictures need no more than their corners.
        if all(_met(start, ways, x, y, reach) for y in (-1.0, 1.0) for x in (-1.0, 1.0)):
            return None
        met = [all(_met(start, ways, x, 2.0 * k / BANDS - 1.0, reach) for x in (-1.0, 1.0)) for k in range(BANDS + 1)]
        free = [not (above and below) for above, below in itertools.pairwise(met)]
        return free.index(True), BANDS - free[::-1].index(True)


def _met(start: list[float], ways: list[list[float]], x: float, y: float, reach: tuple[float, float]) -> bool:
    """Whether the ray through (x, y) of a picture meets the unit box (-1 to 1) from outside, within `reach` (m)."""
    enter, leave = reach
    for at, (right, down, ahead) in zip(start, ways):
        way = right * x + down * y + ahead
        if way == 0.0:
            return False  # rather a backdrop too many
        first, last = (-1.0 - at) / way, (1.0 - at) / way
        if first > last:
            first, last = last, first
        enter, leave = max(enter, first), min(leave, last)
    return reach[0] < enter < leave
