"""Things to be manipulated that are no plain blocks: compounds made by code, and PyBullet's random objects."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np

from robot.errors import SceneError
from robot.interfaces import Array
from sim.grasps import corners
from sim.look import quaternion
from sim.randomization import COMPOUND
from sim.scene import Material, Scene, Shape
from sim.tasks import props

LONGEST, NARROWEST = 0.048, 0.030  # m: a random object is scaled so that it is at most so long, and so wide one way
WIDE, THIN, TALL = 0.040, 0.014, 0.024  # m, of a compound's pieces
BARS: dict[str, tuple[tuple[float, float, float, float], ...]] = {  # x, y of the middle and full size, m
    "tee": ((0.0, 0.013, WIDE, THIN), (0.0, -0.007, THIN, 0.026)),
    "ell": ((0.013, 0.0, THIN, WIDE), (-0.007, -0.013, 0.026, THIN)),
    "cross": ((0.0, 0.0, WIDE, THIN), (0.0, 0.0, THIN, WIDE)),
    "zed": ((-0.007, 0.007, 0.028, THIN), (0.007, -0.007, 0.028, THIN)),
}


def thing(scene: Scene, name: str, colour: str, at: Array, yaw: float) -> props.Block:
    """Something on the table, of whatever kind the axis `object_model` says; a plain block where it is off."""
    draw = props.vary(scene)
    model = draw("object_model")
    if not model:
        return props.cube(scene, name, colour, at, yaw)
    kind, _, which = model.partition(" ")
    factor = draw("object_size")
    shapes, low, turn = compound(which, factor) if kind == COMPOUND else random_object(int(which), factor)
    material = Material(props.shade(colour, draw("object_colour")), draw("object_texture"))
    mass = props.DENSITY * props.EDGE**3 * factor**3 * draw("object_mass")
    around = np.array(props.turned(yaw))
    scene.add(name, shapes, (at[0], at[1], scene.height + low + 0.0005), product(around, turn), mass,
              draw("object_friction"), material)
    scene.words[name] = f"{colour} thing"
    return props.Block(name, scene.words[name], 2 * low)


def compound(name: str, factor: float) -> tuple[list[Shape], float, Array]:
    """Shapes, how high (m) the origin lies, and the turn (4,) in which it stands."""
    bars = [Shape("box", (w * factor, d * factor, TALL * factor), (x * factor, y * factor, 0.0))
            for x, y, w, d in BARS[name]]
    return bars, TALL * factor / 2, np.array([0.0, 0.0, 0.0, 1.0])


def random_object(number: int, factor: float) -> tuple[list[Shape], float, Array]:
    """One of PyBullet's thousand random objects, as `compound`, on the face on which it lies most firmly."""
    path = str(folder() / f"{number:03d}" / f"{number:03d}.obj")
    scale, middle, low, turn = resting(path)
    size = scale * factor
    shape = Shape("mesh", (size,) * 3, tuple((-size * middle).tolist()), mesh=path)
    return [shape], low * factor, turn


@lru_cache(maxsize=1)
def folder() -> Path:
    """Where PyBullet keeps its random objects. Raises `SceneError` when they are not installed."""
    found = importlib.util.find_spec("pybullet_data")
    path = Path(found.origin or "").parent / "random_urdfs" if found is not None else Path()
    if not path.is_dir():
        raise SceneError("PyBullet's random objects are not installed; switch the axis off: "
                         "randomization.off=[object_model]")
    return path


@lru_cache(maxsize=1024)
def resting(path: str) -> tuple[float, Array, float, Array]:
    """Scale, middle (3,) in the file's units, how high (m) the middle lies, and the turn (4,) in which it does.

    It lies most firmly with its middle as low as can be: the best of many directions, then of ever nearer ones.
    """
    points = corners(path)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    points = points - middle
    rng = np.random.default_rng(0)
    ways = rng.standard_normal((1500, 3))
    best = _lowest(points, ways)
    for spread in (0.1, 0.03, 0.01, 0.003, 0.001):
        best = _lowest(points, np.vstack([best[None], best + spread * rng.standard_normal((200, 3))]))
    across = np.cross(best, np.eye(3)[np.abs(best).argmin()])
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(-best, across), -best])  # rows: the table's axes in the object's frame
    flat = (points @ frame.T)[:, :2]
    angles = np.arange(16) * np.pi / 16
    widths = np.ptp(flat @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)
    scale = min(LONGEST / float(widths.max()), NARROWEST / float(widths.min()))
    return scale, middle, scale * float((points @ best).max()), quaternion(frame)


def _lowest(points: Array, ways: Array) -> Array:
    """(3,) the one of `ways` down which `points` reach least far."""
    ways = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    return np.asarray(ways[(points @ ways.T).max(axis=0).argmin()])


def product(a: Array, b: Array) -> tuple[float, float, float, float]:
    """The turn `b` (x, y, z, w), then `a`."""
    w = a[3] * b[3] - a[:3] @ b[:3]
    x, y, z = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return float(x), float(y), float(z), float(w)
