"""An arm of the user's: a URDF and a joint table in a YAML file, `model=file model.table=arms/mine.yaml`.

The table names what an arm of ours names in its module:

    name: mine
    urdf: mine.urdf               # beside the table, or an absolute path
    bus: dynamixel2               # "" where there is no real arm
    foot: [-0.1, 0, 0]            # m, where its root stands in the scene
    gripper_open: 1.2
    gripper_closed: 0.0
    jaws: [left_finger, right_finger]                # the links that press on what it holds
    frames:                       # only those that the URDF lacks: z of the tcp approaches, its x closes
      tcp: {parent: hand, xyz: [0, 0, 0.1], rpy: [0, 0, 0]}
    joints:                       # gripper last
      - {name: waist, servo: 1, model: xl430-w250, lower: -1.5, upper: 1.5, home: 0, park: 0, torque: 1.4}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from robot.arms import ArmModel, Joint
from robot.arms.mount import Frame, mounted
from robot.errors import ConfigError
from robot.registry import option

CAMERA = Frame("tcp", (0.0, -0.07, -0.10), (-0.528074, 0.0, 0.0))  # where none is named: behind the hand, looking along
OWN = ("name", "bus", "baud", "tcp", "gripper_open", "gripper_closed", "still_jaw", "jaws", "follow")


@option("model", "file")
def from_file(table: str, urdf: str = "") -> ArmModel:
    """The arm that the YAML file `table` describes; `urdf` replaces the path it gives.

    Raises `ConfigError` that names the file and the key at fault.
    """
    path = Path(table)
    try:
        given = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"the joint table {path} cannot be read: {error}") from error
    if not isinstance(given, Mapping):
        raise ConfigError(f"{path} is no joint table: it holds no keys")
    unknown = sorted(set(given) - {*OWN, "urdf", "foot", "frames", "joints"})
    if unknown:
        raise ConfigError(f"{path} has the unknown key {unknown[0]!r}")
    for key in ("name", "joints"):
        if not given.get(key):
            raise ConfigError(f"{path} gives no {key}")
    if not (urdf or given.get("urdf")):
        raise ConfigError(f"{path} gives no urdf, and model.urdf= is empty")
    source = Path(urdf) if urdf else path.parent / str(given["urdf"])
    joints = tuple(_row(path, Joint, row) for row in given["joints"])
    settings = {key: given[key] for key in OWN if key in given}
    for key in ("jaws", "follow"):
        if key in settings:
            settings[key] = tuple(tuple(v) if isinstance(v, list) else v for v in settings[key])
    bus = str(settings.pop("bus", ""))
    placed = mounted(source, given.get("foot", (0.0, 0.0, 0.0)), _frames(path, source, given))
    return ArmModel(joints=joints, urdf=placed, bus=bus, simulated_only=not bus, **settings)


def _frames(path: Path, urdf: Path, given: Mapping[str, Any]) -> dict[str, Frame]:
    frames = {name: _row(path, Frame, row) for name, row in (given.get("frames") or {}).items()}
    text = urdf.read_text() if urdf.is_file() else ""
    if "wrist_camera" not in frames and 'name="wrist_camera"' not in text:
        frames["wrist_camera"] = dataclasses.replace(CAMERA, parent=str(given.get("tcp", "tcp")))
    return frames


def _row(path: Path, kind: type[Any], row: object) -> Any:
    if not isinstance(row, Mapping):
        raise ConfigError(f"{path}: {row!r} is no row of keys for a {kind.__name__.lower()}")
    known = {f.name for f in dataclasses.fields(kind)}
    unknown = sorted(set(row) - known)
    if unknown:
        raise ConfigError(f"{path}: a {kind.__name__.lower()} has no key {unknown[0]!r}; it has: "
                          f"{', '.join(sorted(known))}")
    try:
        return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in row.items()})
    except TypeError as error:
        raise ConfigError(f"{path}: {row.get('name', row)!r}: {error}") from error
