"""The mark that a run leaves on this machine while it works, so that an unclean end blocks the next one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from hardware import calibration
from robot.errors import ArmError
from robot.output import write_text


def path_of(port: str) -> Path:
    """Where the mark of a port is kept."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", os.path.realpath(port)).strip("-")
    return calibration.folder().parent / "unclean" / f"{slug}.json"


def refuse_or_path(port: str, acknowledge: bool) -> Path:
    """The mark's path. Raises `ArmError` when the last run did not end well and nobody has acknowledged it."""
    path = path_of(port)
    if path.is_file() and not acknowledge:
        try:
            last = json.loads(path.read_text()).get("out", "unknown")
        except (OSError, ValueError):
            last = "unknown"
        raise ArmError(f"the last run on {port} (in {last}) did not end cleanly: look at the arm, take its load off, "
                       f"then start with acknowledge=true")
    return path


def write(path: Path, port: str, out: Path) -> None:
    """Mark the port as being worked on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"port": port, "out": str(out.absolute()), "pid": os.getpid()}) + "\n")
