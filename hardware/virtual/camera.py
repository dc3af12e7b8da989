"""Makes a virtual bench's cameras selectable: `camera=virtual camera.link=PATH`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hardware.virtual import frames
from hardware.virtual.client import frames_path
from robot.errors import ConfigError
from robot.interfaces import Camera
from robot.registry import option


@option("camera", "virtual")
def virtual(link: str = "") -> Mapping[str, Camera]:
    """The cameras of the bench that serves behind `link`. Raises `ConfigError` or `DataError`."""
    if not link:
        raise ConfigError("camera.link= must name the link that `steadyhand emulate plant=bullet` serves")
    return dict(frames.cameras(frames_path(Path(link))))
