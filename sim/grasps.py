"""How an object can be taken from above: read off its collision shapes, no table of grasps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from robot.errors import SceneError
from robot.interfaces import Array
from sim.render_mesh import read_obj
from sim.scene import Scene, Shape

DEPTH = 0.014  # m, how far under an object's top the fingertips' middle goes, at most to its centre
WIDEST = 0.055  # m
NARROW = 1.15  # a thing of any shape is taken where it is at most so much wider than where it is narrowest


@dataclass(frozen=True)
class Grasp:
    """Fingertips at `position`, pressing along `closing`."""

    position: Array  # (3,) m, the middle of what is pressed
    closing: Array  # (3,) unit, level
    width: float  # m, of the object along `closing`


def grasps(scene: Scene, item: str) -> list[Grasp]:
    """Every way to take `item` from above, two signs a way; a round one offers 16. Never empty."""
    pose = scene.pose(item)
    turn = pose.matrix
    shapes = scene.solids(item)
    top = max(_extent(turn, s, np.array([0.0, 0.0, 1.0])) for s in shapes)
    position = pose.position.copy()
    position[2] += max(0.0, top - DEPTH)
    found = []
    for direction in _directions(turn, shapes):
        width = 2 * max(_extent(turn, s, direction) for s in shapes)
        if width <= WIDEST:
            found += [Grasp(position, sign * direction, width) for sign in (1.0, -1.0)]
    if any(s.kind == "mesh" for s in shapes):
        narrow = min((g.width for g in found), default=WIDEST)
        found = [g for g in found if g.width < NARROW * narrow]
    return found or [Grasp(position, np.array([1.0, 0.0, 0.0]), WIDEST)]


@lru_cache(maxsize=1024)
def corners(path: str) -> Array:
    """(V, 3) vertices of an OBJ file. Raises `SceneError` when it cannot be read."""
    try:
        return read_obj(Path(path).read_text())[0]
    except (OSError, ValueError, IndexError) as error:
        raise SceneError(f"cannot read the mesh {path}: {error}") from error


def _directions(turn: Array, shapes: tuple[Shape, ...]) -> list[Array]:
    """Level directions across parallel faces."""
    if any(s.kind in ("cylinder", "sphere", "mesh") for s in shapes):
        return [np.array([math.cos(a), math.sin(a), 0.0]) for a in np.arange(8) * math.pi / 8]
    out = []
    for shape in shapes:
        axes = turn @ shape.rotation
        for k in range(3):
            flat = np.array([axes[0, k], axes[1, k], 0.0])
            if abs(axes[2, k]) < 0.5:
                out.append(flat / np.linalg.norm(flat))
    return out


def _extent(turn: Array, shape: Shape, direction: Array) -> float:
    """m, how far a shape reaches from the body's origin along `direction`."""
    axes = turn @ shape.rotation
    centre = float(direction @ (turn @ np.asarray(shape.position)))
    if shape.kind == "box":
        return centre + float(np.abs(direction @ axes) @ np.asarray(shape.size)) / 2
    if shape.kind == "sphere":
        return centre + shape.size[0]
    if shape.kind == "mesh":
        return centre + float((corners(shape.mesh) @ (direction @ axes * np.asarray(shape.size))).max())
    along = abs(float(direction @ axes[:, 2]))
    return centre + along * shape.size[1] / 2 + math.sqrt(max(0.0, 1 - along**2)) * shape.size[0]
