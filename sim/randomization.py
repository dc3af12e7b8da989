"""What may differ between two scenes: one named axis a thing, each with a train range and a held-out range.

Every axis draws from a seed stream of its own, so that turning one on, off or to held-out moves no other.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robot.errors import ConfigError
from robot.registry import option
from sim.look import Lens, Light, Look, View, look_at, rotation
from sim.look import quaternion as to_quaternion
from sim.scene import Material
from sim.variation import Choice, Distribution, Either, Uniform

TEXTURES = ("checker", "stripes", "dots", "noise", "speckle", "wood", "grid", "marble")
TRAIN_TEXTURES, HELD_OUT_TEXTURES = ("", *TEXTURES[:5]), TEXTURES[5:]
COMPOUND, RANDOM = "compound", "random"
BROKEN, INSTEAD = 168, 167  # of PyBullet's random objects, one whose corners are no numbers; its neighbour comes twice
TRAIN_OBJECTS, HELD_OUT_OBJECTS = (tuple(f"{RANDOM} {INSTEAD if k == BROKEN else k}" for k in some)
                                   for some in (range(800), range(800, 1000)))


@dataclass(frozen=True)
class Axis:
    """One thing that may differ: its value when nothing varies, and where it is drawn from in either split."""

    name: str
    nominal: Any
    train: Distribution
    held_out: Distribution
    what: str  # the value, in words with units
    shown_by: str = ""  # the task in which it can be seen; "" is any
    moving: bool = False  # seen only while the arm moves


AXES: dict[str, Axis] = {a.name: a for a in (
    Axis("object_colour", (0.0, 1.0, 1.0), Uniform((-0.015, 0.8, 0.75), (0.015, 1.0, 1.0)),
         Either((Uniform((0.018, 0.7, 0.55), (0.03, 1.0, 0.74)), Uniform((-0.03, 0.7, 0.55), (-0.018, 1.0, 0.74)))),
         "shift of hue (turns), factors on saturation and value of the object's named colour"),
    Axis("object_texture", "", Choice(TRAIN_TEXTURES), Choice(HELD_OUT_TEXTURES), "pattern on the object"),
    Axis("object_size", 1.0, Uniform(0.9, 1.1), Either((Uniform(0.82, 0.89), Uniform(1.11, 1.18))),
         "factor on the object's edge"),
    Axis("object_shape", "box", Choice(("box", "box", "cylinder")), Choice(("hexagon", "octagon")),
         "the object's outline"),
    Axis("object_model", "", Either((Choice(("",)), Choice(("compound tee", "compound ell")), Choice(TRAIN_OBJECTS))),
         Either((Choice(("compound cross", "compound zed")), Choice(HELD_OUT_OBJECTS))),
         "a plain block, a compound, or one of PyBullet's random objects, where a task takes any thing", "pick_lift"),
    Axis("receiver_colour", (0.0, 1.0, 1.0), Uniform((-0.015, 0.8, 0.75), (0.015, 1.0, 1.0)),
         Either((Uniform((0.018, 0.7, 0.55), (0.03, 1.0, 0.74)), Uniform((-0.03, 0.7, 0.55), (-0.018, 1.0, 0.74)))),
         "shift of hue, factors on saturation and value of the receiver's named colour"),
    Axis("receiver_texture", "", Choice(TRAIN_TEXTURES), Choice(HELD_OUT_TEXTURES), "pattern on the receiver"),
    Axis("receiver_size", 1.0, Uniform(0.95, 1.1), Uniform(1.12, 1.25), "factor on the receiver's width"),
    Axis("light_colour", (1.0, 1.0, 1.0), Uniform((0.85, 0.85, 0.8), (1.0, 1.0, 1.0)),
         Uniform((0.55, 0.6, 0.5), (0.84, 0.84, 0.79)), "linear RGB of the key light"),
    Axis("light_direction", (0.9, 0.35), Uniform((0.0, 0.0), (2 * math.pi, 0.8)),
         Uniform((0.0, 0.85), (2 * math.pi, 1.1)), "azimuth and angle from the vertical (rad) of the key light"),
    Axis("light_count", 2, Choice((1, 2, 3)), Choice((4, 5)), "number of lights"),
    Axis("table_colour", (0.62, 0.60, 0.57), Uniform((0.35, 0.35, 0.35), (0.8, 0.8, 0.8)),
         Either((Uniform((0.12, 0.12, 0.12), (0.3, 0.3, 0.3)), Uniform((0.84, 0.84, 0.84), (0.95, 0.95, 0.95)))),
         "RGB of the table"),
    Axis("table_texture", "", Choice(TRAIN_TEXTURES), Choice(HELD_OUT_TEXTURES), "pattern on the table"),
    Axis("background", ((0.72, 0.74, 0.76), ""), Choice(tuple(((g, g, g * 1.04), t) for g in (0.3, 0.5, 0.7, 0.9)
                                                         for t in TRAIN_TEXTURES)),
         Choice(tuple(((0.5 * r, 0.5, 0.5 * b), t) for r in (0.4, 1.2) for b in (0.5, 1.3)
                      for t in HELD_OUT_TEXTURES)), "RGB and pattern behind the table"),
    Axis("distractors", 0, Choice((0, 1, 2)), Choice((3, 4)), "things on the table that no instruction names"),
    Axis("camera_pose", (0.0,) * 6, Uniform((-0.015,) * 3 + (-0.025,) * 3, (0.015,) * 3 + (0.025,) * 3),
         Either((Uniform((0.016,) * 3 + (-0.05,) * 3, (0.03,) * 3 + (-0.026,) * 3),
                 Uniform((-0.03,) * 3 + (0.026,) * 3, (-0.016,) * 3 + (0.05,) * 3))),
         "shift (m) and turn (rad) of a camera; the wrist camera moves a quarter as far"),
    Axis("camera_fov", 0.0, Uniform(-2.0, 2.0), Either((Uniform(-5.0, -2.5), Uniform(2.5, 5.0))), "degrees added"),
    Axis("object_friction", 0.9, Uniform(0.7, 1.2), Either((Uniform(0.5, 0.65), Uniform(1.25, 1.5))), "coefficient"),
    Axis("object_mass", 1.0, Uniform(0.6, 1.5), Either((Uniform(0.4, 0.55), Uniform(1.6, 2.2))),
         "factor on the mass of an object of 600 kg/m³"),
    Axis("start_pose", (0.0,) * 5, Uniform((-0.12,) * 5, (0.12,) * 5),
         Either((Uniform((0.14,) * 5, (0.25,) * 5), Uniform((-0.25,) * 5, (-0.14,) * 5))),
         "rad added to the arm's first joints at the start"),
    Axis("table_height", 0.0, Uniform(-0.01, 0.005), Either((Uniform(-0.025, -0.012), Uniform(0.006, 0.012))),
         "m, the table's top over the arm's foot"),
    Axis("servo", (1.0,) * 4, Uniform((0.8, 0.85, 0.5, 0.5), (1.25, 1.1, 1.5, 1.5)),
         Uniform((0.6, 0.7, 1.6, 1.6), (0.78, 0.82, 2.5, 2.5)),
         "factors on the servos' stiffness, speed, dead band and backlash", moving=True),
    Axis("action_delay", 0.0, Uniform(0.0, 0.03), Uniform(0.035, 0.08), "s between a command and its effect",
         moving=True),
    Axis("observation_delay", 0.0, Uniform(0.0, 0.03), Uniform(0.035, 0.08), "s that a picture is old", moving=True),
    Axis("image_noise", 0.0, Uniform(0.0, 0.02), Uniform(0.025, 0.05), "standard deviation, fraction of full scale"),
    Axis("image_blur", 0.0, Uniform(0.0, 0.5), Uniform(0.6, 1.2), "pixels at 128 across"),
    Axis("image_exposure", 1.0, Uniform(0.8, 1.2), Either((Uniform(0.5, 0.75), Uniform(1.25, 1.6))), "gain"),
    Axis("language", "plain", Choice(("train",)), Choice(("held_out",)),
         "the phrasings an instruction is taken from, and in training other nouns for blocks"),
)}


class Draw:
    """The values of one episode. Asking an axis again gives its next value: one for each object, light or camera."""

    def __init__(self, seed: int, on: frozenset[str] = frozenset(), held_out: frozenset[str] = frozenset()) -> None:
        self.seed, self.on, self.held_out = seed, on, held_out
        self.given: dict[str, list[Any]] = {}  # what every axis has been asked for so far
        self._streams: dict[str, np.random.Generator] = {}

    def __call__(self, axis: str) -> Any:
        """The next value of `axis`; its nominal one when the axis is off."""
        a = AXES[axis]
        if axis in self.held_out:
            value = a.held_out.sample(self.rng(f"{axis}/held_out"))
        else:
            value = a.train.sample(self.rng(axis)) if axis in self.on else a.nominal
        self.given.setdefault(axis, []).append(value)
        return value

    def rng(self, stream: str) -> np.random.Generator:
        """The generator of a named stream of this episode, apart from every other stream."""
        if stream not in self._streams:
            key = np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(stream.encode()),))
            self._streams[stream] = np.random.Generator(np.random.PCG64(key))
        return self._streams[stream]


@dataclass(frozen=True)
class Randomization:
    """Which axes vary, and which of them leave their train range."""

    on: frozenset[str] = frozenset()
    held_out: frozenset[str] = frozenset()

    def draw(self, seed: int) -> Draw:
        return Draw(seed, self.on, self.held_out)


@option("randomization", "none")
def none() -> Randomization:
    """Every axis at its nominal value; only what the task itself varies differs."""
    return Randomization()


@option("randomization", "some")
def some(axes: tuple[str, ...] = ("object_colour", "light_direction", "table_colour", "camera_pose", "start_pose"),
         held_out: tuple[str, ...] = ()) -> Randomization:
    """The named axes on; those in `held_out` outside their train range. Raises `ConfigError` on an unknown axis."""
    return Randomization(_names(axes), _names(held_out))


@option("randomization", "train")
def train(off: tuple[str, ...] = (), held_out: tuple[str, ...] = ()) -> Randomization:
    """Every axis on in its train range, less `off`; those in `held_out` outside it."""
    return Randomization(frozenset(AXES) - _names(off), _names(held_out))


@option("randomization", "held_out")
def unseen(off: tuple[str, ...] = ()) -> Randomization:
    """Every axis outside its train range, less `off`."""
    return Randomization(held_out=frozenset(AXES) - _names(off))


def _names(names: Sequence[str]) -> frozenset[str]:
    for name in names:
        if name not in AXES:
            raise ConfigError(f"there is no randomization axis {name!r}; there are: {', '.join(AXES)}")
    return frozenset(names)


# ---------------------------------------------------------------- what the renderer is told
FRONT = ((0.50, 0.0, 0.46), (0.19, 0.0, 0.0))  # m: eye, and what it looks at
FRONT_FOV, WRIST_FOV = 42.0, 70.0  # degrees


def sample_look(draw: Draw) -> Look:
    """Lights, cameras, background and lens of one episode."""
    front = View(FRONT[0], tuple(look_at(*FRONT).tolist()), FRONT_FOV)
    wrist = View((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), WRIST_FOV, body="arm", link="wrist_camera", near=0.005)
    views = {"front": _moved(front, draw, 1.0), "wrist": _moved(wrist, draw, 0.25)}
    rgb, pattern = draw("background")
    lens = Lens(draw("image_exposure"), draw("image_blur"), draw("image_noise"))
    return Look(views, _lights(draw), background=Material((*map(float, rgb), 1.0), pattern), lens=lens)


def _lights(draw: Draw) -> tuple[Light, ...]:
    colour, count = np.asarray(draw("light_colour")), int(draw("light_count"))
    angles = [draw("light_direction")] + [draw.rng("fill").uniform((0, 0.3), (2 * math.pi, 1.0)) for _ in range(4)]
    share = np.array([1.0] + [0.35 / max(count - 1, 1)] * 4)
    return tuple(Light(_direction(*angle), tuple(float(c) for c in colour * part))
                 for angle, part in zip(angles[:count], share))


def _direction(azimuth: float, tilt: float) -> tuple[float, float, float]:
    return math.sin(tilt) * math.cos(azimuth), math.sin(tilt) * math.sin(azimuth), math.cos(tilt)


def _moved(view: View, draw: Draw, scale: float) -> View:
    shift, fov = np.asarray(draw("camera_pose")) * scale, view.fov + draw("camera_fov")
    axes = rotation(view.quaternion) @ _turn(shift[3:])
    position, turn = np.asarray(view.position) + shift[:3], to_quaternion(axes)
    return replace(view, position=tuple(position.tolist()), quaternion=tuple(turn.tolist()), fov=fov)


def _turn(v: np.ndarray) -> np.ndarray:
    half = np.linalg.norm(v) / 2
    axis = v / (2 * half) if half > 1e-9 else np.zeros(3)
    return rotation((*(axis * math.sin(half)), math.cos(half)))
