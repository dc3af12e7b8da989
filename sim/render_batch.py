"""All parts of a scene in one vertex buffer: drawing them, however many there are, is two or three calls.

Vertices are kept in their frame's coordinates and carry its number; the poses of all frames lie in one uniform
block. For a few hundred parts of a few dozen triangles this beats instancing: software rasterisers pay about as
much for starting an instance as for drawing a box.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray

from robot.errors import SceneError
from robot.interfaces import Array
from sim.picture import matrices
from sim.render_device import Device
from sim.render_mesh import Mesh, mesh_of, outline_of, scale_of
from sim.render_shaders import FRAMES
from sim.scene import Part

Floats = NDArray[np.float32]
PATTERNED = ("3f 3f 2f 3f 1f 3f", "position", "normal", "place", "color", "frame", "surface")
PLAIN = ("3f 3f 8x 3f 1f 3f", "position", "normal", "color", "frame", "surface")
BARE = ("3f 1f", "position", "frame")
GLOSSY, BROAD = 0.5, 0.75  # roughness below which a glint may lie between two corners; of the largest parts


class Batch:
    """The vertices of one scene on the device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._frames = device.context.buffer(reserve=FRAMES * 48, dynamic=True)
        self._buffers: list[moderngl.Buffer] = []  # corners and faces of surfaces, then of what casts shadows
        self._arrays: dict[tuple[bool, bool, bool], moderngl.VertexArray] = {}
        self._outline: moderngl.VertexArray | None = None
        self._ranges: list[tuple[bool, bool, int, int]] = []  # patterned, glossy, first corner and number of a draw

    def load(self, parts: Sequence[Part], layers: Sequence[int], largest: float) -> None:
        """Lay out `parts`; those of a half diagonal over `largest` (m) receive shadows and cast none.

        Raises `SceneError` when there are too many frames.
        """
        if max(part.frame for part in parts) >= FRAMES:
            raise SceneError(f"a scene of over {FRAMES} bodies and links cannot be drawn")
        meshes = [mesh_of(part.shape) for part in parts]
        radii = [_extent(part, mesh) for part, mesh in zip(parts, meshes)]
        # The largest come last: tables are mostly hidden, and what is hidden costs nothing. Patterned and glossy parts
        # are drawn by programs of their own, since patterns and glints are dear.
        kinds = [(layer > 0, part.material.roughness < (BROAD if radius > largest else GLOSSY))
                 for layer, part, radius in zip(layers, parts, radii)]
        order = sorted(range(len(parts)), key=lambda i: (*_turn(radii[i] > largest, *kinds[i]), radii[i]))
        casting = [i for i in order if radii[i] <= largest]
        self._casters = np.array([parts[i].frame for i in casting], dtype=np.int64)
        self._middles = np.array([parts[i].shape.position for i in casting]).reshape(-1, 3, 1)
        self._radii = np.array([radii[i] for i in casting])
        rows, faces, first = [], [], 0
        for i in order:
            rows.append(_vertices(parts[i], meshes[i], layers[i]))
            faces.append(meshes[i].faces.ravel() + np.uint32(first))
            first += len(rows[-1])
        self._ranges, start = [], 0
        for kind, group in itertools.groupby(zip(order, faces), lambda pair: kinds[pair[0]]):
            count = sum(len(drawn) for _, drawn in group)
            self._ranges.append((*kind, start, count))
            start += count
        self._upload(np.concatenate(rows), np.concatenate(faces), *self._outlines([parts[i] for i in casting]))

    def _outlines(self, parts: Sequence[Part]) -> tuple[Floats, NDArray[np.uint32]]:
        """(V, 4) place and frame of corners, and corners by threes, of what these parts cast shadows with."""
        rows, faces, first = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.uint32)], 0
        for part in parts:
            corners, threes = outline_of(part.shape)
            placed = corners * scale_of(part.shape) @ _turned(part).T + part.shape.position
            rows.append(np.column_stack([placed, np.full(len(corners), part.frame)]).astype(np.float32))
            faces.append(threes.ravel() + np.uint32(first))
            first += len(corners)
        self._casting = sum(map(len, faces))
        return np.concatenate(rows), np.concatenate(faces)

    def _upload(self, *blocks: NDArray[Any]) -> None:
        """Write the buffers, made anew only when one is too small."""
        if not self._buffers or any(held.size < block.nbytes for held, block in zip(self._buffers, blocks)):
            self._forget()
            ctx = self._device.context
            corners, faces, outlines, threes = self._buffers = [
                ctx.buffer(reserve=max(2 * block.nbytes, 64)) for block in blocks]
            self._arrays = {
                key: ctx.vertex_array(program, [(corners, *(PATTERNED if key[1] else PLAIN))], faces)
                for key, program in self._device.surface.items()}
            self._outline = ctx.vertex_array(self._device.shadow, [(outlines, *BARE)], threes)
        for held, block in zip(self._buffers, blocks):
            if block.nbytes:
                held.write(block)

    def place(self, world: Array) -> tuple[Array, Array]:
        """Move every frame to its pose; `world` (F, 4, 4).

        Returns centres (C, 3) and radii (C,) in m of spheres around what casts shadows.
        """
        self._frames.write(np.ascontiguousarray(world[:, :3], dtype=np.float32))
        of = world[self._casters]
        return (of[:, :3, :3] @ self._middles)[:, :, 0] + of[:, :3, 3], self._radii

    def shadow(self) -> None:
        """Draw whatever casts shadows into the current target."""
        self._frames.bind_to_uniform_block(2)
        if self._outline is not None and self._casting:
            self._outline.render(moderngl.TRIANGLES, self._casting)

    def surfaces(self, geometry: bool) -> None:
        """Draw everything into the current target."""
        for pattern, gloss, first, count in self._ranges:
            self._arrays[geometry, pattern, gloss].render(moderngl.TRIANGLES, count, first=first)

    def _forget(self) -> None:
        for thing in (*self._arrays.values(), self._outline, *self._buffers):
            if thing is not None:
                thing.release()
        self._arrays, self._outline, self._buffers = {}, None, []

    def release(self) -> None:
        """Give back all buffers; may be called twice."""
        self._forget()
        self._frames.release()


def _turn(large: bool, pattern: bool, gloss: bool) -> tuple[bool, bool, bool]:
    """When a part is drawn: small before large, and those of one kind on end as far as may be."""
    return large, pattern != large, gloss == large


def _vertices(part: Part, mesh: Mesh, layer: int) -> Floats:
    """(V, 15) position, normal, texture place, linear colour, frame, layer, roughness, specular of one part."""
    material, scale, turn = part.material, scale_of(part.shape), _turned(part)
    stretched = mesh.corners[:, :3] * scale
    normal = mesh.corners[:, 3:6] / scale
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    tile = float(np.clip(2 * np.median(scale), 0.03, 0.35))
    axis = mesh.corners[:, 6].astype(int)
    across = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    out = np.empty((len(stretched), 15), dtype=np.float32)
    out[:, 0:3] = stretched @ turn.T + part.shape.position
    out[:, 3:6] = normal @ turn.T
    out[:, 6:8] = 0.5 + np.take_along_axis(stretched, across, axis=1) / tile
    out[:, 8:11] = np.clip(np.asarray(material.rgba[:3]), 0.0, 1.0) ** 2  # the shaders' display gamma
    out[:, 11:] = part.frame, layer, material.roughness, material.specular
    return out


def _turned(part: Part) -> Array:
    """(3, 3) rotation of a part in its frame."""
    return matrices(np.array([[0.0, 0.0, 0.0, *part.shape.quaternion]]))[0, :3, :3]


def _extent(part: Part, mesh: Mesh) -> float:
    """Half of the diagonal of the scaled mesh, m."""
    size = mesh.corners[:, :3].max(axis=0) - mesh.corners[:, :3].min(axis=0)
    return float(np.linalg.norm(size * scale_of(part.shape))) / 2
