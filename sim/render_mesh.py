"""Triangle meshes for the renderer: primitives made by code, OBJ and STL files, and thinning of those too fine.

Every corner carries a normal and the axis along which textures are projected on it, so that any mesh can
be textured in metres without texture coordinates of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot.errors import SceneError
from sim.scene import Shape

CREASE = 0.75  # cosine of the angle beyond which an edge is drawn sharp
SEGMENTS = 20  # sides of a round primitive, at those of Bullet's 32 that its hulls keep
SKIN = 0.001  # m, by which Bullet's cameras draw cylinders larger: a collision margin
FLOATS = NDArray[np.float64]
INTS = NDArray[np.int64]


@dataclass(frozen=True)
class Mesh:
    """Triangles ready to upload."""

    corners: NDArray[np.float32]  # (V, 7) x y z, normal, projection axis 0 1 2
    faces: NDArray[np.uint32]  # (T, 3) counter-clockwise from outside


def mesh_of(shape: Shape) -> Mesh:
    """The unit mesh of a shape, to be stretched by `scale_of`. Raises `SceneError` for one that cannot be drawn."""
    if shape.kind == "mesh":
        return file_mesh(shape.mesh)
    if shape.kind not in ("box", "cylinder", "sphere", "capsule"):
        raise SceneError(f"a shape of kind {shape.kind!r} cannot be drawn")
    if shape.kind == "cylinder":
        return cylinder(float(shape.size[0]), float(shape.size[1]))
    return primitive(shape.kind, round(shape.size[1] / shape.size[0], 3) if shape.kind == "capsule" else 0.0)


def outline_of(shape: Shape) -> tuple[NDArray[np.floating], NDArray[np.uint32]]:
    """Corners (V, 3) and faces (T, 3) of the unit mesh that a shape casts its shadow with.

    A shadow is seen a few mm at a time, so that cylinders, of which arms have many, cast that of an eight-sided prism.
    It lies inside of them, lest they shade themselves.
    """
    if shape.kind == "cylinder":
        return prism()
    mesh = mesh_of(shape)
    return mesh.corners[:, :3], mesh.faces


@lru_cache(maxsize=1)
def prism(sides: int = 8) -> tuple[FLOATS, NDArray[np.uint32]]:
    """Corners and faces of a prism of height 1 along z, in a cylinder of radius 1."""
    angles = 2 * np.pi * np.arange(sides) / sides
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners = np.concatenate([np.column_stack([ring, np.full(sides, z)]) for z in (-0.5, 0.5)])
    faces = [three for k in range(sides) for n in [(k + 1) % sides]
             for three in ((k, n, n + sides), (k, n + sides, k + sides))]
    faces += [three for k in range(1, sides - 1) for three in ((0, k + 1, k), (sides, sides + k, sides + k + 1))]
    return corners, np.array(faces, dtype=np.uint32)


def scale_of(shape: Shape) -> FLOATS:
    """(3,) m, what stretches the unit mesh to the shape."""
    if shape.kind == "cylinder":
        return np.array([shape.size[0], shape.size[0], shape.size[1]])
    if shape.kind in ("sphere", "capsule"):
        return np.full(3, shape.size[0])
    return np.array(shape.size, dtype=np.float64)


def shaded(points: FLOATS, faces: INTS) -> Mesh:
    """Mesh with normals: smooth across edges flatter than `CREASE`, sharp elsewhere."""
    points, faces = _weld(points, faces)
    a, b, c = (points[faces[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)
    length = np.linalg.norm(area, axis=1)
    faces, area, length = faces[length > 1e-14], area[length > 1e-14], length[length > 1e-14]
    flat = area / length[:, None]
    smooth = np.zeros_like(points)
    for k in range(3):
        np.add.at(smooth, faces[:, k], area)
    smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-14)
    normal = smooth[faces]
    sharp = np.einsum("tkd,td->tk", normal, flat) < CREASE
    normal = np.where(sharp[:, :, None], flat[:, None, :], normal)
    return _packed(points, faces, normal)


def _packed(points: FLOATS, faces: INTS, normal: FLOATS) -> Mesh:
    """Corners that share place, normal and projection axis become one; `normal` (T, 3, 3) is by face and corner."""
    axis = np.broadcast_to(np.abs(normal.mean(axis=1)).argmax(axis=1)[:, None], faces.shape)
    rows = np.concatenate([points[faces], normal, axis[:, :, None]], axis=2).reshape(-1, 7).astype(np.float32)
    corners, index = np.unique(np.round(rows, 6), axis=0, return_inverse=True)
    return Mesh(corners, index.reshape(-1, 3).astype(np.uint32))


def _weld(points: FLOATS, faces: INTS) -> tuple[FLOATS, INTS]:
    size = max(float(np.ptp(points, axis=0).max()), 1e-9)
    _, first, index = np.unique(np.round(points / size, 6), axis=0, return_index=True, return_inverse=True)
    return points[first], index.reshape(-1)[faces]


@lru_cache(maxsize=256)
def primitive(kind: str, ratio: float = 0.0) -> Mesh:
    """Unit `box` (side 1), `sphere` (radius 1), or `capsule` (radius 1, cylinder part `ratio` long, along z).
    Round ones have the corners that Bullet's own cameras draw them with."""
    if kind == "box":
        return shaded(*_box())
    if kind == "sphere":
        return shaded(*_icosphere())
    angles = np.linspace(-np.pi / 2, np.pi / 2, 8)
    return shaded(*_revolve([(float(np.cos(t)), float(np.sin(t)) + np.sign(t) * ratio / 2) for t in angles]))


@lru_cache(maxsize=256)
def cylinder(radius: float, length: float) -> Mesh:
    """A cylinder of so many metres along z, shrunk to radius 1 and height 1, under the normals of a true one.

    Its corners are those that Bullet's cameras draw: of a prism of 32 sides the one furthest in each direction of an
    icosphere, moved by `SKIN` in that direction.
    """
    points = _furthest(radius, length)
    faces = _cylinder_faces()
    a, b, c = (points[faces[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    cap = np.abs(flat[:, 2]) > 0.9 * np.linalg.norm(flat, axis=1)
    around = points * (1.0, 1.0, 0.0)
    normals = (around / np.linalg.norm(around, axis=1, keepdims=True))[faces]
    normals[cap] = np.sign(flat[cap, None, 2:]) * (0.0, 0.0, 1.0)
    return _packed(points / (radius, radius, length), faces, normals)


def _furthest(radius: float, length: float) -> FLOATS:
    """(31, 3) m, corners of a cylinder as Bullet finds them: on its equator the upper ones, at both tips those at y.

    Bullet has eleven of them twice, a fraction of `SKIN` apart; one that is as far out as either is a quarter less of
    triangles to draw.
    """
    ways = np.round(_icosphere()[0], 9)
    step = np.pi / 16
    angle = np.round(np.arctan2(ways[:, 1], ways[:, 0]) / step) * step
    angle[np.hypot(ways[:, 0], ways[:, 1]) == 0] = np.pi / 2
    side = np.where(ways[:, 2] >= 0, 1.0, -1.0)
    corners, which = np.unique(np.round(np.stack([angle % (2 * np.pi), side], axis=1), 6), axis=0, return_inverse=True)
    skin = np.zeros((len(corners), 2))  # outwards and along the axis
    np.maximum.at(skin, which.reshape(-1), np.stack([np.hypot(ways[:, 0], ways[:, 1]), np.abs(ways[:, 2])], axis=1))
    out, (turn, side) = radius + SKIN * skin[:, 0], corners.T
    return np.stack([out * np.cos(turn), out * np.sin(turn), side * (length / 2 + SKIN * skin[:, 1])], axis=1)


@lru_cache(maxsize=1)
def _cylinder_faces() -> INTS:
    """(58, 3) corners of the triangles around `_furthest`. Other sizes than this move edges by hundredths of a mm."""
    return _hull(_furthest(0.02, 0.03))


def _hull(points: FLOATS) -> INTS:
    """(T, 3) triangles, counter-clockwise from outside, around a few points (P, 3), no four of them in one face."""
    threes = np.array(list(combinations(range(len(points)), 3)))
    a, b, c = (points[threes[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    above = normal @ points.T - np.einsum("td,td->t", normal, a)[:, None]
    out, turned = (above < 1e-9).all(axis=1), (above > -1e-9).all(axis=1)
    return np.concatenate([threes[out], threes[turned][:, ::-1]])


def _icosphere() -> tuple[FLOATS, INTS]:
    """An icosahedron on its tip, every triangle cut in four."""
    ring = np.radians(36.0 * np.arange(10))
    z = np.where(np.arange(10) % 2, -1.0, 1.0) / np.sqrt(5)
    around = np.stack([np.cos(ring) * 2 / np.sqrt(5), np.sin(ring) * 2 / np.sqrt(5), z], axis=1)
    points = [np.array([0.0, 0.0, 1.0]), *around, np.array([0.0, 0.0, -1.0])]
    coarse = []
    for k in range(1, 11, 2):
        upper, lower = k, k + 1
        upper2, lower2 = (k + 2, k + 3) if k < 9 else (1, 2)
        coarse += [(0, upper, upper2), (upper, lower, upper2), (upper2, lower, lower2), (lower, 11, lower2)]
    faces, middle = [], {}
    for triangle in coarse:
        mids = []
        for a, b in zip(triangle, np.roll(triangle, -1)):
            key = (min(a, b), max(a, b))
            if key not in middle:
                middle[key] = len(points)
                points.append((points[a] + points[b]) / np.linalg.norm(points[a] + points[b]))
            mids.append(middle[key])
        (a, b, c), (ab, bc, ca) = triangle, mids
        faces += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.array(points), np.array(faces)


def _box() -> tuple[FLOATS, INTS]:
    points = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return points, np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])


def _revolve(profile: list[tuple[float, float]]) -> tuple[FLOATS, INTS]:
    """Turn (radius, height) points, bottom to top, about z."""
    turn = np.radians(11.25 * np.round(np.arange(0, 360, 360 // SEGMENTS) / 11.25))
    points = np.array([[r * np.cos(t), r * np.sin(t), z] for r, z in profile for t in turn])
    faces = []
    for ring in range(len(profile) - 1):
        for k in range(SEGMENTS):
            a, b = ring * SEGMENTS + k, ring * SEGMENTS + (k + 1) % SEGMENTS
            faces += [(a, b, b + SEGMENTS), (a, b + SEGMENTS, a + SEGMENTS)]
    return points, np.array(faces)


@lru_cache(maxsize=512)
def file_mesh(path: str, limit: int = 2000) -> Mesh:
    """Mesh of an OBJ or STL file, thinned to about `limit` triangles. Raises `SceneError` for what it cannot read."""
    source = Path(path)
    try:
        if source.suffix.lower() == ".obj":
            points, faces = read_obj(source.read_text(errors="replace"))
        elif source.suffix.lower() == ".stl":
            points, faces = read_stl(source.read_bytes())
        else:
            raise SceneError(f"{source.name}: visual meshes must be OBJ or STL; convert it, or use renderer=tiny")
    except (OSError, ValueError, IndexError) as error:
        raise SceneError(f"cannot read the mesh {path}: {error}") from error
    if not len(faces):
        raise SceneError(f"{path} holds no triangles")
    if not np.isfinite(points).all():
        raise SceneError(f"{path} holds corners that are no numbers")
    return shaded(*thinned(points, faces, limit))


def read_obj(text: str) -> tuple[FLOATS, INTS]:
    """Vertices (V, 3) and triangles (T, 3) of a Wavefront OBJ; polygons become fans."""
    points: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    for line in text.splitlines():
        if line.startswith("v "):
            points.append([float(x) for x in line.split()[1:4]])
        elif line.startswith("f "):
            found = [int(word.split("/")[0]) for word in line.split()[1:]]
            ids = [i - 1 if i > 0 else len(points) + i for i in found]
            faces += [(ids[0], ids[k], ids[k + 1]) for k in range(1, len(ids) - 1)]
    return np.array(points, dtype=np.float64).reshape(-1, 3), np.array(faces, dtype=np.int64).reshape(-1, 3)


def read_stl(data: bytes) -> tuple[FLOATS, INTS]:
    """Vertices and triangles of an STL, binary or text."""
    count = int.from_bytes(data[80:84], "little")
    if len(data) == 84 + 50 * count:
        rows = np.frombuffer(data, dtype=np.uint8, offset=84).reshape(count, 50)[:, 12:48]
        points = np.ascontiguousarray(rows).view("<f4").reshape(-1, 3).astype(np.float64)
    else:
        words = [line.split()[1:4] for line in data.decode(errors="replace").splitlines() if "vertex" in line]
        points = np.array(words, dtype=np.float64).reshape(-1, 3)
    return points, np.arange(len(points)).reshape(-1, 3)


def thinned(points: FLOATS, faces: INTS, limit: int) -> tuple[FLOATS, INTS]:
    """Merge vertices that share a grid cell, coarser and coarser, until at most `limit` triangles are left."""
    points, faces = _weld(points, faces)
    cells = 160.0
    low, size = points.min(axis=0), max(float(np.ptp(points, axis=0).max()), 1e-9)
    new_points, new_faces = points, faces
    while len(new_faces) > limit:
        cell = np.floor((points - low) / size * cells)
        _, index, count = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
        index = index.reshape(-1)
        new_points = np.zeros((len(count), 3))
        np.add.at(new_points, index, points)
        new_points /= count[:, None]
        new_faces = index[faces]
        kept = (new_faces != np.roll(new_faces, 1, axis=1)).all(axis=1)
        new_faces = np.unique(_canonical(new_faces[kept]), axis=0)
        cells *= 0.85
    return new_points, new_faces


def _canonical(faces: INTS) -> INTS:
    """Each triangle rotated so that its smallest index comes first; equal triangles become equal rows."""
    first = faces.argmin(axis=1)[:, None]
    return np.take_along_axis(faces, (first + np.arange(3)) % 3, axis=1)
