"""What gravity does to each joint of an arm, from its URDF: the load that makes virtual servos sag and heat."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import numpy as np

from robot.arms import ArmModel
from robot.errors import ConfigError
from robot.interfaces import Array

G = 9.81


@dataclass(frozen=True, eq=False)
class _Body:
    """One link with the joint that carries it."""

    parent: int  # index of the body it hangs on, -1 the base
    joint: int  # arm joint that moves it, -1 fixed
    rotation: Array  # (3, 3) of the joint's frame in the parent's
    offset: Array  # (3,) m
    axis: Array  # (3,)
    mass: float  # kg
    centre: Array  # (3,) m, in the link's frame


class Gravity:
    """Gravity torques and diagonal inertias of an arm standing on a table, z up."""

    def __init__(self, model: ArmModel) -> None:
        """Raises `ConfigError` when the URDF cannot be read or lacks a joint of the model."""
        try:
            root = ElementTree.parse(model.urdf).getroot()
        except (OSError, ElementTree.ParseError) as error:
            raise ConfigError(f"the URDF of {model.name} cannot be read: {error}") from error
        self._bodies = _bodies(root, model.names)
        lost = sorted(set(range(len(model.names))) - {b.joint for b in self._bodies})
        if lost:
            raise ConfigError(f"{model.urdf.name} has no joint {model.names[lost[0]]!r}")
        self._count = len(model.names)

    def torque(self, q: Array) -> Array:
        """(J,) N·m that gravity applies at joint angles `q` (J,) rad."""
        axes, origins, centres = self._place(q)
        out = np.zeros(self._count)
        mass = [b.mass for b in self._bodies]
        moment = [m * c for m, c in zip(mass, centres)]  # of each link and all that hangs on it
        for at in range(len(self._bodies) - 1, -1, -1):
            body = self._bodies[at]
            if body.joint >= 0:
                lever, axis = moment[at] - mass[at] * origins[at], axes[at]
                out[body.joint] += G * (axis[1] * lever[0] - axis[0] * lever[1])
            if body.parent >= 0:
                mass[body.parent] += mass[at]
                moment[body.parent] = moment[body.parent] + moment[at]
        return out

    def inertia(self, q: Array) -> Array:
        """(J,) kg·m² about each joint's axis with the others held, links as points at their centres."""
        axes, origins, centres = self._place(q)
        out = np.zeros(self._count)
        for body, centre in zip(self._bodies, centres):
            at = self._bodies.index(body)
            while at >= 0:
                carrier = self._bodies[at]
                if carrier.joint >= 0:
                    arm = np.cross(axes[at], centre - origins[at])
                    out[carrier.joint] += body.mass * float(arm @ arm)
                at = carrier.parent
        return out

    def _place(self, q: Array) -> tuple[list[Array], list[Array], list[Array]]:
        """Axis, joint origin and centre of mass of every body, in the base's frame."""
        frames: list[Array] = []
        axes: list[Array] = []
        origins: list[Array] = []
        centres: list[Array] = []
        for body in self._bodies:
            if body.parent < 0:
                frame, origin = body.rotation, body.offset
            else:
                above = frames[body.parent]
                frame, origin = above @ body.rotation, origins[body.parent] + above @ body.offset
            axes.append(frame @ body.axis)
            frames.append(frame @ _turn(body.axis, float(q[body.joint])) if body.joint >= 0 else frame)
            origins.append(origin)
            centres.append(origin + frames[-1] @ body.centre)
        return axes, origins, centres


def _bodies(root: ElementTree.Element, names: tuple[str, ...]) -> list[_Body]:
    links = {link.attrib["name"]: link for link in root.findall("link")}
    joints = root.findall("joint")
    children = {j.find("child").attrib["link"] for j in joints}  # type: ignore[union-attr]
    index = {name: -1 for name in links if name not in children}
    out: list[_Body] = []
    pending = list(joints)
    while pending:
        ready = [j for j in pending if _name(j, "parent") in index]
        if not ready:
            raise ConfigError("the URDF's joints form no tree")
        for joint in ready:
            pending.remove(joint)
            mass, centre = _inertial(links[_name(joint, "child")])
            offset, rotation = _origin(joint.find("origin"))
            axis = joint.find("axis")
            moved = names.index(joint.attrib["name"]) if joint.attrib["name"] in names else -1
            out.append(_Body(index[_name(joint, "parent")], moved, rotation, offset,
                             _vector(axis.attrib["xyz"] if axis is not None else "1 0 0"), mass, centre))
            index[_name(joint, "child")] = len(out) - 1
    return out


def _name(joint: ElementTree.Element, role: str) -> str:
    found = joint.find(role)
    return "" if found is None else found.attrib["link"]


def _inertial(link: ElementTree.Element) -> tuple[float, Array]:
    inertial = link.find("inertial")
    if inertial is None:
        return 0.0, np.zeros(3)
    mass = inertial.find("mass")
    return float(mass.attrib["value"]) if mass is not None else 0.0, _origin(inertial.find("origin"))[0]


def _origin(node: ElementTree.Element | None) -> tuple[Array, Array]:
    attributes = {} if node is None else node.attrib
    roll, pitch, yaw = _vector(attributes.get("rpy", "0 0 0"))
    x, y, z = np.eye(3)
    rotation = _turn(z, float(yaw)) @ _turn(y, float(pitch)) @ _turn(x, float(roll))
    return _vector(attributes.get("xyz", "0 0 0")), rotation


def _vector(text: str) -> Array:
    return np.array([float(part) for part in text.split()])


def _turn(axis: Array, angle: float) -> Array:
    """Rotation matrix about a unit axis (Rodrigues)."""
    x, y, z = axis
    c, s, d = math.cos(angle), math.sin(angle), 1 - math.cos(angle)
    return np.array([
        [c + x * x * d, x * y * d - z * s, x * z * d + y * s],
        [y * x * d + z * s, c + y * y * d, y * z * d - x * s],
        [z * x * d - y * s, z * y * d + x * s, c + z * z * d],
    ])
