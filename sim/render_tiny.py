"""PyBullet's own software renderer behind the same interface: slow, plain, and needs no system library at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from robot.errors import SceneError
from robot.interfaces import Array
from sim.bullet import pybullet as p
from sim.bullet import silenced
from sim.look import Look, View
from sim.picture import NOTHING, Instant, Picture, clip, matrices
from sim.render_lens import develop
from sim.scene import Material, Part, Shape
from sim.textures import texture

LIGHT_DISTANCE = 2.0  # m; shadows vanish when it is large


class TinyRenderer:
    """Draws copies of the parts in a Bullet client of its own, so that any stored instant can be drawn.

    Textures become their mean colour; fill lights and roughness are left out.
    """

    name = "tiny"

    def __init__(self, shadows: bool = True) -> None:
        self.shadows = shadows
        self._client: int | None = None
        self._copies: list[tuple[int, Part]] = []
        self._frames = np.empty(0, dtype=np.int32)  # frame by copy's id
        self._look: Look | None = None

    def load(self, parts: Sequence[Part], look: Look) -> None:
        """See `Renderer.load`."""
        with silenced():
            if self._client is None:
                self._client = p.connect(p.DIRECT)
            p.resetSimulation(physicsClientId=self._client)
            self._copies = [(self._copy(part), part) for part in parts]
        self._frames = np.full(len(parts) + 1, NOTHING, dtype=np.int32)
        for copy, part in self._copies:
            self._frames[copy] = part.frame
        self._look = look

    def draw(self, instant: Instant, size: int, seed: int = 0, geometry: bool = False) -> dict[str, Picture]:
        """See `Renderer.draw`. Raises `RuntimeError` before `load`."""
        if self._look is None:
            raise RuntimeError("no scene has been loaded")
        rows = np.asarray(instant, dtype=np.float64)
        for copy, part in self._copies:
            pose = rows[part.frame]
            p.resetBasePositionAndOrientation(copy, pose[:3], pose[3:], physicsClientId=self._client)
        poses = matrices(rows[len(rows) - len(self._look.views) :])
        return {name: self._picture(view, pose, size, seed + k, geometry)
                for k, ((name, view), pose) in enumerate(zip(self._look.views.items(), poses))}

    def release(self) -> None:
        """Disconnect; may be called twice."""
        if self._client is not None:
            p.disconnect(physicsClientId=self._client)
        self._client, self._copies, self._look = None, [], None

    def _copy(self, part: Part) -> int:
        shape = part.shape
        try:
            visual = p.createVisualShape(
                **_geometry(shape), rgbaColor=[*tinted(part.material), 1.0], visualFramePosition=shape.position,
                visualFrameOrientation=shape.quaternion, physicsClientId=self._client)
        except p.error as error:
            raise SceneError(f"{part.body}: a {shape.kind} {shape.mesh} cannot be drawn: {error}") from error
        return int(p.createMultiBody(baseVisualShapeIndex=visual, physicsClientId=self._client))

    def _picture(self, view: View, pose: Array, size: int, seed: int, geometry: bool) -> Picture:
        assert self._look is not None
        look, lens = self._look, self._look.lens
        key, fills = look.lights[0], look.lights[1:]
        strength = max(*key.colour, 1e-6)
        ambient = look.ambient + 0.3 * sum(float(np.mean(fill.colour)) for fill in fills)
        _, _, rgba, z, ids = p.getCameraImage(
            size, size, view_matrix(pose), projection_matrix(view, size), lightDirection=key.direction,
            lightColor=[c / strength for c in key.colour], lightDistance=LIGHT_DISTANCE, shadow=int(self.shadows),
            lightAmbientCoeff=ambient * lens.exposure, lightDiffuseCoeff=0.6 * strength * lens.exposure,
            lightSpecularCoeff=0.05, renderer=p.ER_TINY_RENDERER, physicsClientId=self._client)
        ids = np.where(ids < 0, len(self._frames) - 1, ids)
        rgb = np.ascontiguousarray(rgba[:, :, :3], dtype=np.uint8)
        rgb[ids == len(self._frames) - 1] = np.clip(255 * lens.exposure * tinted(look.background), 0, 255)
        rgb = develop(rgb, lens, seed)
        if not geometry:
            return Picture(rgb)
        segmentation = self._frames[ids]
        depth = metric(z, view)
        depth[segmentation == NOTHING] = np.inf
        return Picture(rgb, depth, segmentation)


def view_matrix(pose: Array) -> list[float]:
    """OpenGL's view matrix of an optical frame's (4, 4) pose, column by column, as Bullet takes it."""
    return list((np.diag([1.0, -1.0, -1.0, 1.0]) @ np.linalg.inv(pose)).T.ravel())


def projection_matrix(view: View, size: int) -> list[float]:
    """OpenGL's projection matrix for a picture of `size` px, column by column, as Bullet takes it.

    TinyRenderer samples each pixel at its corner where OpenGL takes the centre: moved by that half pixel, both draw
    the same outlines (`tests/sim/test_render.py`).
    """
    project = clip(view)
    project[:2, 2] -= 1.0 / size
    return list((project @ np.diag([1.0, 1.0, -1.0, 1.0])).T.ravel())


def metric(z: Array, view: View) -> Array:
    """Depth (m) along the camera's axis of a depth buffer's values in [0, 1]."""
    return (view.far * view.near / (view.far - (view.far - view.near) * z)).astype(np.float32)


def tinted(material: Material) -> Array:
    """(3,) sRGB of the material times its texture's mean."""
    mean = float(texture(material.texture).mean()) / 255 if material.texture else 1.0
    return np.asarray(material.rgba[:3]) * mean


def _geometry(shape: Shape) -> dict[str, Any]:
    if shape.kind == "box":
        return {"shapeType": p.GEOM_BOX, "halfExtents": [s / 2 for s in shape.size]}
    if shape.kind == "sphere":
        return {"shapeType": p.GEOM_SPHERE, "radius": shape.size[0]}
    if shape.kind in ("cylinder", "capsule"):
        kind = p.GEOM_CYLINDER if shape.kind == "cylinder" else p.GEOM_CAPSULE
        return {"shapeType": kind, "radius": shape.size[0], "length": shape.size[1]}
    return {"shapeType": p.GEOM_MESH, "fileName": shape.mesh, "meshScale": list(shape.size)}
