"""Arms whose URDF is somebody else's: set on the table where they reach it, with the frames that everything needs."""

from __future__ import annotations

import hashlib
import os
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from robot.errors import ConfigError
from robot.output import write_text

PACKAGE = "package://"


@dataclass(frozen=True)
class Frame:
    """A frame fixed to a link: `xyz` in m, `rpy` in rad, in the link's frame."""

    parent: str
    xyz: tuple[float, ...] = (0.0, 0.0, 0.0)
    rpy: tuple[float, ...] = (0.0, 0.0, 0.0)


def mounted(urdf: Path, foot: Sequence[float] = (0.0, 0.0, 0.0), frames: Mapping[str, Frame] | None = None) -> Path:
    """A copy of `urdf` in the temporary folder whose root stands at `foot` (m) and whose links carry `frames`.

    Meshes are named by absolute path. Raises `ConfigError` for a file that is no URDF, for a mesh that is not there,
    and for a frame on a link that is not there.
    """
    try:
        robot = ElementTree.parse(urdf).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ConfigError(f"the URDF {urdf} cannot be read: {error}") from error
    names = [link.attrib["name"] for link in robot.findall("link")]
    moved = {element.attrib["link"] for element in robot.iterfind("joint/child")}
    roots = [name for name in names if name not in moved]
    if len(roots) != 1:
        raise ConfigError(f"{urdf} has {len(roots)} root links; an arm's URDF has one")
    for mesh in robot.iter("mesh"):
        mesh.set("filename", str(_mesh(urdf, mesh.attrib["filename"])))
    _attach(robot, "mount", None)
    _join(robot, "mount", roots[0], foot, (0.0, 0.0, 0.0))
    for name, frame in (frames or {}).items():
        if frame.parent not in (*names, *(frames or {})):
            raise ConfigError(f"{urdf} has no link {frame.parent!r} for the frame {name!r}; it has: {', '.join(names)}")
        _attach(robot, name, 1e-4)
        _join(robot, frame.parent, name, frame.xyz, frame.rpy)
    text = ElementTree.tostring(robot, encoding="unicode")
    folder = Path(tempfile.gettempdir()) / f"steadyhand-{os.getuid()}"
    path = folder / f"{urdf.stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.urdf"
    if not path.is_file():
        folder.mkdir(mode=0o700, exist_ok=True)
        write_text(path, text)
    return path


def _mesh(urdf: Path, name: str) -> Path:
    """Where a mesh lies: beside the URDF, or in the package that one of the folders above it is."""
    relative = Path(name.removeprefix(PACKAGE))
    if relative.is_absolute():
        return relative
    tails = [relative] if not name.startswith(PACKAGE) else [relative, Path(*relative.parts[1:])]
    for folder in urdf.resolve().parents:
        for tail in tails:
            if (folder / tail).is_file():
                return folder / tail
    raise ConfigError(f"{urdf} names the mesh {name}, which is neither beside it nor in a folder above")


def _attach(robot: ElementTree.Element, name: str, mass: float | None) -> None:
    link = ElementTree.SubElement(robot, "link", name=name)
    if mass is not None:
        inertial = ElementTree.SubElement(link, "inertial")
        ElementTree.SubElement(inertial, "mass", value=f"{mass:g}")
        ElementTree.SubElement(inertial, "inertia", ixx="1e-9", iyy="1e-9", izz="1e-9", ixy="0", ixz="0", iyz="0")


def _join(robot: ElementTree.Element, parent: str, child: str, xyz: Sequence[float], rpy: Sequence[float]) -> None:
    joint = ElementTree.SubElement(robot, "joint", name=f"{child}_fixed_to_{parent}", type="fixed")
    ElementTree.SubElement(joint, "parent", link=parent)
    ElementTree.SubElement(joint, "child", link=child)
    ElementTree.SubElement(joint, "origin", xyz=" ".join(f"{v:.9g}" for v in xyz),
                           rpy=" ".join(f"{v:.9g}" for v in rpy))
