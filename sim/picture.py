"""What a renderer is and what it gives: pictures of a scene's parts at an instant, now or stored.

An instant is an array (F + V, 7): position (m) and quaternion x y z w in the robot's base frame of the F
frames of `Scene.poses()`, then of the V cameras of a `Look`. With the parts and the look it is all a picture needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from robot.interfaces import Array, Image
from sim.bullet import pybullet
from sim.look import Look, View
from sim.scene import Part, Scene

Instant = NDArray[np.float32]  # (F + V, 7)
NOTHING = -1  # segmentation where no part is seen


@dataclass(frozen=True)
class Picture:
    """One rendered image; depth and segmentation only when asked for."""

    rgb: Image  # (H, W, 3)
    depth: NDArray[np.float32] | None = None  # (H, W) m along the camera's z; inf where there is nothing
    segmentation: NDArray[np.int32] | None = None  # (H, W) `Part.frame`, or NOTHING


class Renderer(Protocol):
    """Draws parts under a look. `load` after either changes (`Scene.version`), `draw` as often as wanted."""

    @property
    def name(self) -> str:
        """What really draws, for the record: `gl:llvmpipe (LLVM 15.0.6, 256 bits)` or `tiny`."""
        ...

    def load(self, parts: Sequence[Part], look: Look) -> None:
        """Take meshes, materials, lights and cameras; forgets the last scene.

        Raises `SceneError` for a shape that cannot be drawn, `ConfigError` for an unknown texture.
        """

    def draw(self, instant: Instant, size: int, seed: int = 0, geometry: bool = False) -> dict[str, Picture]:
        """One `size` by `size` picture a view of the look, by its name. `seed` is the sensor noise's.

        With `geometry` the pictures have depth and segmentation as well.
        """
        ...

    def release(self) -> None:
        """Give back whatever is held outside Python; may be called twice."""


def instant(scene: Scene, look: Look) -> Instant:
    """(F + V, 7) of `scene` now, cameras of `look` included."""
    return np.concatenate([scene.poses(), cameras(scene, look)])


def cameras(scene: Scene, look: Look) -> Instant:
    """(V, 7) optical frames of `look`'s views now."""
    rows: list[float] = []  # flat, as in `Scene.poses`
    for view in look.views.values():
        position, quaternion = view.position, view.quaternion
        if view.body:
            carrier = scene.pose(view.body, view.link)
            position, quaternion = pybullet.multiplyTransforms(carrier.position, carrier.quaternion,
                                                               view.position, view.quaternion)
        rows += position
        rows += quaternion
    return np.array(rows, np.float32).reshape(-1, 7)


def matrices(poses: NDArray[np.floating]) -> Array:
    """(N, 4, 4) of (N, 7) poses."""
    q = np.asarray(poses[:, 3:], dtype=np.float64)
    out = np.zeros((len(q), 4, 4))
    products = (q[:, :, None] * q[:, None, :]).reshape(-1, 16)
    out[:, :3, :3] = (products @ TURN).reshape(-1, 3, 3) + UNIT
    out[:, :3, 3] = poses[:, :3]
    out[:, 3, 3] = 1.0
    return out


def _turn() -> Array:
    """(16, 9): what the products of x, y, z, w by each other contribute to a rotation less the unit matrix."""
    out = np.zeros((4, 4, 3, 3))
    for k in range(3):
        a, b = (k + 1) % 3, (k + 2) % 3
        out[a, a, k, k] = out[b, b, k, k] = -2.0
        out[a, b, a, b] = out[a, b, b, a] = 2.0
        out[k, 3, a, b], out[k, 3, b, a] = -2.0, 2.0
    return out.reshape(16, 9)


TURN, UNIT = _turn(), np.eye(3)


def clip(view: View, aspect: float = 1.0) -> Array:
    """(4, 4) optical frame (x right, y down, z forward) to clip space with y down; `view.fov` is vertical."""
    near, far, focal = view.near, view.far, 1 / np.tan(np.radians(view.fov) / 2)
    return np.array([[focal / aspect, 0, 0, 0], [0, focal, 0, 0],
                     [0, 0, (far + near) / (far - near), -2 * far * near / (far - near)], [0, 0, 1, 0]])


def between(a: Instant, b: Instant, share: float) -> Instant:
    """The instant `share` of the way from `a` to `b`, everything moving evenly: good for a tenth of a second."""
    near = np.where((a[:, 3:] * b[:, 3:]).sum(axis=1, keepdims=True) < 0, -b[:, 3:], b[:, 3:])
    out = np.concatenate([a[:, :3] + share * (b[:, :3] - a[:, :3]), a[:, 3:] + share * (near - a[:, 3:])], axis=1)
    out[:, 3:] /= np.linalg.norm(out[:, 3:], axis=1, keepdims=True)
    return out.astype(np.float32)
