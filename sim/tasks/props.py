"""Things that tasks put on the table: coloured cubes and trays, and free places within the arm's reach."""

from __future__ import annotations

import colorsys
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from robot.errors import SceneError
from robot.interfaces import Array
from sim.goals import Place
from sim.randomization import Draw
from sim.scene import Material, Scene, Shape

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.82, 0.10, 0.08), "green": (0.10, 0.58, 0.16), "blue": (0.08, 0.22, 0.80),
    "yellow": (0.93, 0.80, 0.06), "purple": (0.48, 0.12, 0.62), "orange": (0.95, 0.45, 0.04),
}
DENSITY = 600.0  # kg/m³, of a printed or wooden block
EDGE = 0.028  # m, of a cube
ANY_BLOCK = ("block", "object", "piece")  # nouns of a block, whatever its outline
PIVOT = 0.0388  # m, the shoulder's axis in front of the base frame
NEAR, FAR, SIDE = 0.12, 0.235, 0.85  # m, m, rad: where a top-down grasp can be lifted, seen from the shoulder


def vary(scene: Scene) -> Draw:
    """The episode's values of the randomisation axes; all nominal in a scene without any."""
    draw = scene.vary
    return draw if isinstance(draw, Draw) else Draw(0)


@dataclass
class Layout:
    """Free places on the table: apart from one another and within reach, by construction."""

    rng: np.random.Generator
    near: float = NEAR
    far: float = FAR
    side: float = SIDE
    taken: list[tuple[float, float, float]] = field(default_factory=list)  # x, y, radius

    def free(self, radius: float, margin: float = 0.018, tries: int = 400) -> Array:
        """(2,) m, of a place for something of `radius` (m). Raises `SceneError` when `tries` were in vain."""
        for _ in range(tries):
            out = math.sqrt(self.rng.uniform(self.near**2, self.far**2))
            angle = self.rng.uniform(-self.side, self.side)
            x, y = PIVOT + out * math.cos(angle), out * math.sin(angle)
            if all(math.hypot(x - a, y - b) >= radius + r + margin for a, b, r in self.taken):
                self.taken.append((x, y, radius))
                return np.array([x, y])
        raise SceneError(f"no free place of radius {radius:.3f} m beside {len(self.taken)} others after {tries} tries; "
                         "ask for fewer or smaller things")


def arrange(rng: np.random.Generator, radii: Sequence[float], attempts: int = 50, margin: float = 0.018,
            taken: Sequence[tuple[float, float, float]] = (), **limits: float) -> list[Array]:
    """Places (2,) m for things of `radii` (m), in order; starts anew when they do not fit, then `SceneError`."""
    for attempt in range(attempts):
        layout = Layout(rng, taken=list(taken), **limits)
        try:
            return [layout.free(r, margin) for r in radii]
        except SceneError:
            if attempt == attempts - 1:
                raise
    raise SceneError("nothing was asked to be arranged")


def shade(colour: str, change: Sequence[float]) -> tuple[float, float, float, float]:
    """RGBA of a named colour after a shift of hue and factors on saturation and value."""
    h, s, v = colorsys.rgb_to_hsv(*COLOURS[colour])
    r, g, b = colorsys.hsv_to_rgb((h + change[0]) % 1.0, min(1.0, s * change[1]), min(1.0, v * change[2]))
    return (r, g, b, 1.0)


def turned(yaw: float) -> tuple[float, float, float, float]:
    """Quaternion of a turn about the vertical."""
    return (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))


@dataclass(frozen=True)
class Block:
    """A thing that was put on the table."""

    name: str
    words: str  # how an instruction names it
    edge: float  # m


def cube(scene: Scene, name: str, colour: str, at: Sequence[float], yaw: float, edge: float = EDGE) -> Block:
    """A block on the table (or at height `at[2]`), varied by the object axes."""
    draw = vary(scene)
    edge, kind = edge * draw("object_size"), draw("object_shape")
    shape = _outline(kind, edge)
    material = Material(shade(colour, draw("object_colour")), draw("object_texture"))
    z = (at[2] if len(at) > 2 else scene.height) + edge / 2
    mass = DENSITY * edge**3 * draw("object_mass")
    scene.add(name, shape, (at[0], at[1], z + 0.0005), turned(yaw), mass, draw("object_friction"), material)
    scene.words[name] = f"{colour} {_noun(draw, kind)}"
    return Block(name, scene.words[name], edge)


def _noun(draw: Draw, kind: str) -> str:
    """What a block of this outline is called; in training also by words that fit every one."""
    own = {"box": "cube", "cylinder": "cylinder"}.get(kind, "block")
    return str(draw.rng("noun").choice((own, *ANY_BLOCK))) if draw("language") == "train" else own


def _outline(kind: str, edge: float) -> Shape | list[Shape]:
    if kind == "box":
        return Shape("box", (edge, edge, edge))
    if kind == "cylinder":
        return Shape("cylinder", (edge / 2, edge))
    sides = {"hexagon": 3, "octagon": 4}[kind]  # pairs of parallel faces; each pair is a box
    width = edge * math.tan(math.pi / (2 * sides))
    return [Shape("box", (edge, width, edge), quaternion=turned(math.pi * k / sides)) for k in range(sides)]


RIM, WALL, FLOOR = 0.010, 0.004, 0.003  # m


def tray(scene: Scene, name: str, colour: str, at: Sequence[float], yaw: float, width: float = 0.09) -> float:
    """A shallow square tray that stays where it is; returns its inner half-width (m)."""
    draw = vary(scene)
    width = width * draw("receiver_size")
    edge = width / 2 - WALL / 2
    material = Material(shade(colour, draw("receiver_colour")), draw("receiver_texture"))
    walls = [Shape("box", (width, WALL, RIM), (0, s * edge, RIM / 2)) for s in (-1, 1)]
    walls += [Shape("box", (WALL, width, RIM), (s * edge, 0, RIM / 2)) for s in (-1, 1)]
    floor = Shape("box", (width, width, FLOOR), (0, 0, FLOOR / 2))
    scene.add(name, [floor, *walls], (at[0], at[1], scene.height), turned(yaw), 0.0, 0.8, material)
    scene.words[name] = f"{colour} tray"
    return width / 2 - WALL


def distractors(scene: Scene, rng: np.random.Generator, around: Sequence[tuple[float, float, float]]) -> None:
    """Grey and brown things that no instruction names, wherever there is room beside `around` (x, y, radius)."""
    layout = Layout(rng, near=0.10, far=0.30, side=1.2, taken=list(around))
    for k in range(int(vary(scene)("distractors"))):
        try:
            x, y = layout.free(0.025, tries=60)
        except SceneError:
            return
        grey = rng.uniform(0.15, 0.7)
        size = rng.uniform(0.02, 0.035, 2)
        shape = Shape("box", (size[0], size[0], size[1])) if rng.uniform() < 0.5 else Shape(
            "cylinder", (size[0] / 2, size[1]))
        material = Material((grey, grey * rng.uniform(0.85, 1.0), grey * rng.uniform(0.7, 1.0), 1.0))
        scene.add(f"distractor {k}", shape, (x, y, scene.height + size[1] / 2),
                  turned(rng.uniform(-math.pi, math.pi)), DENSITY * float(size[0] ** 2 * size[1]), 0.8, material)


def scatter(scene: Scene, rng: np.random.Generator, count: int, edge: float = EDGE, far: float = FAR,
            make: Callable[..., Block] | None = None) -> list[Block]:
    """Blocks "cube 0" and on, of different colours, anywhere within reach, or what `make` makes; distractors beside."""
    colours = rng.permutation(list(COLOURS))[:count]
    places = arrange(rng, [0.026] * count, far=far)
    made = make or functools.partial(cube, edge=edge)
    blocks = [made(scene, f"cube {k}", str(colour), place, rng.uniform(-math.pi, math.pi))
              for k, (colour, place) in enumerate(zip(colours, places))]
    distractors(scene, rng, [(*place, 0.026) for place in places])
    return blocks


def into(scene: Scene, block: Block, on: str, level: float, tolerance: float, height: float = 0.012) -> Place:
    """The goal that `block` stands in the middle of body `on`, `level` (m) over that body's origin."""
    gap = scene.pose(block.name).position - scene.pose(*on.split("/")).position
    offset = (0.0, 0.0, level + block.edge / 2)
    return Place(block.name, on, offset, tolerance, height, start=float(np.linalg.norm(gap)))


def turn_flat(v: Sequence[float], angle: float) -> Array:
    """(2,) `v` turned by `angle` (rad)."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([c * v[0] - s * v[1], s * v[0] + c * v[1]])
