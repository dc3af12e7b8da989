"""What a scene looks like beyond its bodies: lights, cameras, background, lens. Plain data for any renderer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.scene import Material

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Light:
    """A distant light. The first light of a `Look` is the key light and casts the shadow."""

    direction: tuple[float, float, float]  # unit, from the scene towards the light
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)  # linear RGB, 1 is full


@dataclass(frozen=True)
class View:
    """A camera: where it is in its carrier's frame. Optical axes: x right, y down, z into the picture."""

    position: tuple[float, float, float]  # m
    quaternion: tuple[float, float, float, float]  # x, y, z, w
    fov: float  # degrees, vertical; pictures are square
    body: str = ""  # "" is the world: the robot's base frame
    link: str = ""
    near: float = 0.01  # m
    far: float = 3.0  # m


@dataclass(frozen=True)
class Lens:
    """What the sensor adds to a picture."""

    exposure: float = 1.0  # gain on brightness
    blur: float = 0.0  # pixels, standard deviation, at 128 pixels' width
    noise: float = 0.0  # standard deviation, fraction of full scale


@dataclass(frozen=True)
class Look:
    """Everything a picture depends on that is not a body of the scene."""

    views: Mapping[str, View]
    lights: tuple[Light, ...]
    ambient: float = 0.45  # fraction of full light that reaches every surface
    background: Material = field(default_factory=lambda: Material((0.72, 0.74, 0.76, 1.0)))
    lens: Lens = Lens()


def look_at(eye: Sequence[float], target: Sequence[float], up: Sequence[float] = (0.0, 0.0, 1.0)) -> Array:
    """(4,) quaternion x, y, z, w of the optical frame at `eye` that sees `target` in its middle, `up` upwards."""
    z = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    x = np.cross(z, up)
    x /= np.linalg.norm(x)
    return quaternion(np.stack([x, np.cross(z, x), z], axis=1))


def quaternion(m: Array) -> Array:
    """(4,) x, y, z, w of a rotation matrix (Shepperd's method)."""
    r = m.tolist()  # plain floats are faster
    sizes = [r[0][0], r[1][1], r[2][2], r[0][0] + r[1][1] + r[2][2]]
    k = sizes.index(max(sizes))
    if k == 3:
        q = np.array([r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1], 1 + sizes[3]])
    else:
        i, j, n = k, (k + 1) % 3, (k + 2) % 3
        q = np.zeros(4)
        q[i] = 1 + r[i][i] - r[j][j] - r[n][n]
        q[j] = r[j][i] + r[i][j]
        q[n] = r[n][i] + r[i][n]
        q[3] = r[n][j] - r[j][n]
    return q / length(q)


def length(v: Array) -> float:
    """Euclidean, of a vector (N,): what `np.linalg.norm` gives, at a fraction of its time."""
    return math.sqrt(v.dot(v))


def rotation(q: Sequence[float]) -> Array:
    """(3, 3) of a quaternion x, y, z, w."""
    x, y, z, w = q.tolist() if isinstance(q, np.ndarray) else q  # plain floats are faster
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                     [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                     [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])


def project(view: View, carrier: tuple[Array, Array], point: Sequence[float]) -> tuple[float, float, float]:
    """Image fractions (u right, v down) and depth (m) of `point` (base frame) in `view`.

    `carrier` is the position and quaternion of the frame that carries the camera (identity for a fixed one).
    """
    base = rotation(carrier[1])
    axes = base @ rotation(view.quaternion)
    local = axes.T @ (np.asarray(point) - (carrier[0] + base @ np.asarray(view.position)))
    scale = 0.5 / math.tan(math.radians(view.fov) / 2) / max(local[2], 1e-6)
    return 0.5 + local[0] * scale, 0.5 + local[1] * scale, float(local[2])
