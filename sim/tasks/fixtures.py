"""Things with a mechanism or a cavity: drawers, knobs, buttons, sockets, cups, pads and markers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from robot.interfaces import Array
from sim.goals import JointAt
from sim.scene import Link, Material, Scene, Shape
from sim.tasks import props

WOOD = Material((0.55, 0.38, 0.22, 1.0), roughness=0.7)
METAL = Material((0.45, 0.47, 0.5, 1.0), roughness=0.35, specular=0.5)
DARK = Material((0.12, 0.12, 0.13, 1.0))
TRAVEL, FIN, FIN_HEIGHT = 0.075, 0.012, 0.034  # m: a drawer's way, its handle's thickness and height
BASE, PRESS = 0.012, 0.006  # m: height of a button's or knob's base, and how deep a button goes


def _material(scene: Scene, colour: str) -> Material:
    draw = props.vary(scene)
    return Material(props.shade(colour, draw("receiver_colour")), draw("receiver_texture"))


def pad(scene: Scene, name: str, colour: str, at: Sequence[float], width: float = 0.07, yaw: float = 0.0,
        noun: str = "pad") -> float:
    """A flat mark on the table that nothing bumps into, by its colour and `noun`; returns its half-width (m)."""
    width *= props.vary(scene)("receiver_size")
    look = Material((0.5, 0.5, 0.52, 1.0))
    if colour in props.COLOURS:
        look, scene.words[name] = _material(scene, colour), f"{colour} {noun}"
    scene.add(name, Shape("box", (width, width, 0.001), collides=False),
              (at[0], at[1], scene.height + 0.0006), props.turned(yaw), material=look)
    return width / 2


def cabinet(scene: Scene, name: str, at: Sequence[float], opened: float = 0.0) -> None:
    """A drawer with a fin to pull at, facing the arm, open by `opened` (m). Its link and joint are "drawer"."""
    heading = math.atan2(at[1], at[0] - props.PIVOT)
    wall, side = (0.094, 0.004, 0.036), (0.094, 0.084, 0.003)  # m
    walls = (Shape("box", side, (0, 0, 0.0015)), Shape("box", wall, (0, 0.04, 0.018)),
             Shape("box", wall, (0, -0.04, 0.018)), Shape("box", (0.004, 0.084, 0.036), (0.045, 0, 0.018)),
             Shape("box", side, (0, 0, 0.0375)))
    look = _material(scene, str(props.vary(scene).rng("fixture").choice(list(props.COLOURS))))
    long, across = (0.084, 0.004, 0.022), (0.004, 0.070, 0.022)
    box = (Shape("box", (0.084, 0.070, 0.003)), Shape("box", (0.004, 0.070, 0.026), (-0.042, 0, 0.013)),
           Shape("box", across, (0.04, 0, 0.011)), Shape("box", long, (0, 0.033, 0.011)),
           Shape("box", long, (0, -0.033, 0.011)),
           Shape("box", (0.028, FIN, FIN_HEIGHT), (-0.057, 0, FIN_HEIGHT / 2)))
    drawer = Link(tuple(_looking(s, look) for s in box), 0.06, "prismatic", "drawer", (-0.003, 0, 0.0055),
                  (-1.0, 0.0, 0.0), (0.0, TRAVEL), 0.4)
    scene.add(name, [Link(walls), drawer], (at[0], at[1], scene.height), props.turned(heading), material=WOOD)
    scene.set_joint(name, "drawer", opened)


def drawer_goal(scene: Scene, name: str, opened: bool, least: float = 0.045) -> JointAt:
    """The goal that a cabinet's drawer is open, by `least` (m), or shut."""
    low, high, aim = (least, TRAVEL + 0.01, 0.066) if opened else (-0.01, 0.006, -0.003)
    return JointAt(name, "drawer", low, high, aim, scene.joint(name, "drawer"), (-0.058, 0.0, FIN_HEIGHT - 0.012),
                   (0.0, 1.0, 0.0), FIN)


def cabinet_place(rng: np.random.Generator, side: float = 0.6) -> Array:
    """(2,) m, where a cabinet stands so that its drawer can be pulled out by the arm."""
    out, angle = rng.uniform(0.245, 0.26), rng.uniform(-side, side)
    return np.array([props.PIVOT + out * math.cos(angle), out * math.sin(angle)])


def knob(scene: Scene, name: str, at: Sequence[float], heading: float, angle: float) -> None:
    """A bar on a dial that turns about the vertical, at `angle` (rad). Its link and joint are "knob"."""
    base = (Shape("cylinder", (0.030, BASE), (0, 0, BASE / 2)),)
    look = _material(scene, str(props.vary(scene).rng("fixture").choice(list(props.COLOURS))))
    bar = (Shape("box", (0.046, 0.013, 0.024), (0, 0, 0.012), material=look),
           Shape("box", (0.010, 0.014, 0.002), (0.016, 0, 0.025), collides=False, material=DARK))
    turning = Link(bar, 0.02, "revolute", "knob", (0, 0, BASE), (0, 0, 1), (-1.8, 1.8), 0.02)
    scene.add(name, [Link(base), turning], (at[0], at[1], scene.height), props.turned(heading), material=METAL)
    scene.set_joint(name, "knob", angle)


def button(scene: Scene, name: str, colour: str, at: Sequence[float]) -> None:
    """A button that stays down when pressed. Its link and joint are "button"."""
    base = (Shape("box", (0.044, 0.044, BASE), (0, 0, BASE / 2)),)
    cap = (Shape("cylinder", (0.014, 0.012), (0, 0, 0.006), material=_material(scene, colour)),)
    moving = Link(cap, 0.01, "prismatic", "button", (0, 0, BASE), (0, 0, 1), (-PRESS, 0.0), 0.8)
    scene.add(name, [Link(base), moving], (at[0], at[1], scene.height), material=METAL)
    scene.words[name] = f"{colour} button"


def socket(scene: Scene, name: str, colour: str, at: Sequence[float], hole: float = 0.024,
           height: float = 0.022) -> None:
    """A block with a square hole of side `hole` (m) that goes down to the table."""
    wall = 0.014
    outer = hole + 2 * wall
    shift = (hole + wall) / 2
    sides = [Shape("box", (outer, wall, height), (0, s * shift, height / 2)) for s in (-1, 1)]
    sides += [Shape("box", (wall, hole, height), (s * shift, 0, height / 2)) for s in (-1, 1)]
    scene.add(name, sides, (at[0], at[1], scene.height), material=_material(scene, colour), friction=0.3)
    scene.words[name] = f"{colour} block"


def cup(scene: Scene, name: str, at: Sequence[float], side: float = 0.040) -> float:
    """An upside-down square cup; returns the height of its centre over the table (m)."""
    wall, half = 0.003, side / 2
    walls = [Shape("box", (side, wall, side), (0, s * (half - wall / 2), 0)) for s in (-1, 1)]
    walls += [Shape("box", (wall, side - 2 * wall, side), (s * (half - wall / 2), 0, 0)) for s in (-1, 1)]
    lid = Shape("box", (side, side, wall), (0, 0, half - wall / 2))
    scene.add(name, [lid, *walls], (at[0], at[1], scene.height + half + 0.0003), props.turned(math.atan2(at[1], at[0])),
              0.03, props.vary(scene)("object_friction"), Material((0.75, 0.73, 0.70, 1.0)))
    return half


def bin_box(scene: Scene, name: str, at: Sequence[float], width: float = 0.072, height: float = 0.022) -> None:
    """An open box that what is put into it goes away from."""
    half = width / 2
    walls = [Shape("box", (width, 0.004, height), (0, s * half, height / 2)) for s in (-1, 1)]
    walls += [Shape("box", (0.004, width, height), (s * half, 0, height / 2)) for s in (-1, 1)]
    scene.add(name, [Shape("box", (width, width, 0.003), (0, 0, 0.0015)), *walls], (at[0], at[1], scene.height),
              material=DARK)


AWAY = (0.0, 0.0, -1.0)  # m, where a marker is when it marks nothing


def marker(scene: Scene, name: str = "marker") -> None:
    """A glowing ball that points things out by hovering over them; starts out of sight."""
    look = Material((1.0, 0.92, 0.2, 1.0), roughness=0.2)
    scene.add(name, Shape("sphere", (0.012,), collides=False), AWAY, material=look)


def _looking(shape: Shape, material: Material) -> Shape:
    return Shape(shape.kind, shape.size, shape.position, shape.quaternion, material=material)
