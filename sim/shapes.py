"""What bodies are made of, as plain data: materials, shapes, links, poses; and their URDF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.bullet import pybullet

Array = NDArray[np.float64]
IDENTITY = (0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Material:
    """How a surface looks: `texture` is the name of a pattern the renderer makes, "" for plain colour."""

    rgba: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 1.0)
    texture: str = ""
    roughness: float = 0.6  # 0 mirror, 1 chalk
    specular: float = 0.2


@dataclass(frozen=True)
class Shape:
    """A convex primitive in its link's frame: box (full x, y, z), cylinder (radius, length along z), sphere (radius).

    `kind` "mesh" names a file in `mesh`, scaled by `size`.
    """

    kind: str
    size: tuple[float, ...]  # m
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)  # m
    quaternion: tuple[float, float, float, float] = IDENTITY  # x, y, z, w
    mesh: str = ""
    collides: bool = True
    visible: bool = True
    material: Material | None = None  # None takes the body's

    @property
    def rotation(self) -> Array:
        """(3, 3)."""
        return np.array(pybullet.getMatrixFromQuaternion(self.quaternion)).reshape(3, 3)


@dataclass(frozen=True)
class Link:
    """A rigid piece of an object, joined to the link `parent` (by position in the list; -1 is the first)."""

    shapes: tuple[Shape, ...]
    mass: float = 0.0  # kg
    joint: str = "fixed"  # fixed, revolute or prismatic
    name: str = ""
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)  # m, in the root's frame
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    limits: tuple[float, float] = (0.0, 0.0)  # rad or m
    friction: float = 0.02  # N·m or N that the joint resists with


@dataclass(frozen=True)
class Pose:
    """Where a frame is in the robot's base frame."""

    position: Array  # (3,) m
    quaternion: Array  # (4,) x, y, z, w

    @property
    def matrix(self) -> Array:
        """(3, 3) rotation."""
        return np.array(pybullet.getMatrixFromQuaternion(self.quaternion)).reshape(3, 3)

    @property
    def yaw(self) -> float:
        """Heading of the x axis seen from above, rad."""
        m = pybullet.getMatrixFromQuaternion(self.quaternion)
        return math.atan2(m[3], m[0])


@dataclass(frozen=True)
class Part:
    """A visible shape: which frame carries it, what it is, how it looks."""

    frame: int  # row in `Scene.poses()`
    body: str
    link: str
    shape: Shape
    material: Material


def urdf_text(name: str, links: Sequence[Link], material: Material = Material()) -> str:
    """A URDF of `links`, in the colours of their shapes or of `material`; every joint hangs from the first link."""
    rows = [f'<robot name="{name}">']
    for i, link in enumerate(links):
        called = link.name or f"link{i}"
        rows.append(f'<link name="{called}"><inertial><mass value="{link.mass:g}"/>'
                    '<inertia ixx="1e-5" iyy="1e-5" izz="1e-5" ixy="0" ixz="0" iyz="0"/></inertial>')
        for shape in link.shapes:
            solid = f"{_origin(shape.position, shape.quaternion)}<geometry>{_geometry(shape)}</geometry>"
            if shape.visible:
                colour = f'<color rgba="{_row((shape.material or material).rgba)}"/>'
                rows.append(f'<visual>{solid}<material name="look{len(rows)}">{colour}</material></visual>')
            if shape.collides:
                rows.append(f"<collision>{solid}</collision>")
        rows.append("</link>")
        if i:
            root = links[0].name or "link0"
            rows.append(f'<joint name="{called}" type="{link.joint}"><parent link="{root}"/><child link="{called}"/>'
                        f'{_origin(link.origin, IDENTITY)}<axis xyz="{_row(link.axis)}"/>'
                        f'<limit lower="{link.limits[0]:g}" upper="{link.limits[1]:g}" effort="50" velocity="10"/>'
                        "</joint>")
    return "\n".join([*rows, "</robot>"])


def _geometry(shape: Shape) -> str:
    if shape.kind == "box":
        return f'<box size="{_row(shape.size)}"/>'
    if shape.kind == "cylinder":
        return f'<cylinder radius="{shape.size[0]:g}" length="{shape.size[1]:g}"/>'
    if shape.kind == "sphere":
        return f'<sphere radius="{shape.size[0]:g}"/>'
    return f'<mesh filename="{shape.mesh}" scale="{_row(shape.size)}"/>'


def _origin(position: Sequence[float], quaternion: Sequence[float]) -> str:
    return f'<origin xyz="{_row(position)}" rpy="{_row(pybullet.getEulerFromQuaternion(quaternion))}"/>'


def _row(values: Sequence[float]) -> str:
    return " ".join(f"{v:.7g}" for v in values)


def as_links(links: Shape | Sequence[Shape] | Sequence[Link], mass: float) -> list[Link]:
    """Links of what `Scene.add` is given: a shape, shapes of one rigid piece, or links."""
    if isinstance(links, Shape):
        return [Link((links,), mass)]
    items = list(links)
    if all(isinstance(item, Shape) for item in items):
        return [Link(tuple(items), mass)]
    return items


def visual(row: Sequence) -> Shape:
    """The shape that a row of PyBullet's `getVisualShapeData` describes."""
    kind = {pybullet.GEOM_BOX: "box", pybullet.GEOM_CYLINDER: "cylinder", pybullet.GEOM_CAPSULE: "capsule",
            pybullet.GEOM_SPHERE: "sphere", pybullet.GEOM_MESH: "mesh"}.get(row[2], "mesh")
    size = tuple(row[3])
    if kind in ("cylinder", "capsule"):
        size = (size[1], size[0])
    elif kind == "sphere":
        size = (size[0],)
    material = Material(tuple(row[7]))
    return Shape(kind, size, tuple(row[5]), tuple(row[6]), row[4].decode() if kind == "mesh" else "", material=material)
