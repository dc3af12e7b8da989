"""Output folders: claimed before work starts, complete only when they say so, described for whoever comes later."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from robot.errors import DataError

CONFIG, VERSIONS = "config.yaml", "versions.json"
_CLAIMED: list[Path] = []  # by this process, for `abandon`
PACKAGES = ("steadyhand", "pybullet", "numpy", "torch", "opencv-python", "pyserial", "hydra-core", "gymnasium")


def free(stem: str) -> str:
    """`stem`, or the first of `stem-2`, `stem-3`, ... that does not exist yet."""
    number = 1
    while Path(name := stem if number == 1 else f"{stem}-{number}").exists():
        number += 1
    return name


def claim(out: str | Path | None, command: str, config: Mapping[str, Any], resume: bool = False,
          idle: Sequence[str] = ()) -> Path:
    """Make `out` this run's own and write its configuration and versions there; returns the folder.

    Without `out` it is a new one, `runs/COMMAND` or the first of `runs/COMMAND-2`, ... that is free.

    Raises `DataError` when `out` already holds another run, or cannot be written. With `resume`, a folder of
    the same command is taken over as it is; the caller compares configurations. A folder that holds nothing but
    a configuration and what `idle` names is of a run that never began: it is taken over too.
    """
    folder = Path(out or free(f"runs/{command}"))
    if folder.is_file():
        raise DataError(f"{folder} is a file; give a folder with out=")
    held = folder / CONFIG
    if idle and held.is_file() and {p.name for p in folder.iterdir()} <= {CONFIG, VERSIONS, *idle}:
        shutil.rmtree(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (resume and held.is_file()):
        what = f"already holds a run (see {held})" if held.is_file() else "is not empty"
        raise DataError(f"{folder} {what}; choose another out= or remove it first")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not held.is_file():
            _CLAIMED.append(folder)
            write_text(folder / VERSIONS, json.dumps(versions(), indent=2) + "\n")
            write_text(held, yaml.safe_dump({"command": command, **config}, sort_keys=False))
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error.strerror or error}") from error
    return folder


def agree(folder: Path, config: Mapping[str, Any], free: Sequence[str]) -> None:
    """Raise `DataError` when there is no run in `folder` to be gone on with, or one of other settings than
    `config`; the keys in `free` may differ."""
    try:
        before = yaml.safe_load((folder / CONFIG).read_text())
    except FileNotFoundError as error:
        raise DataError(f"there is no run to resume in {folder}; leave resume= out") from error
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{folder / CONFIG} cannot be read: {' '.join(str(error).split())}") from error
    for key, value in config.items():
        if key not in free and before.get(key) != value:
            raise DataError(f"the run in {folder} had {key}={before.get(key)}, not {value}; "
                            "go on with the same settings, or choose another out=")


def abandon() -> None:
    """Remove the folders that this process claimed and put nothing into: whoever corrects a mistake may use the
    same out= again."""
    for folder in _CLAIMED:
        if folder.is_dir() and {p.name for p in folder.iterdir()} <= {CONFIG, VERSIONS}:
            shutil.rmtree(folder, ignore_errors=True)
    _CLAIMED.clear()


def versions() -> dict[str, str]:
    """Versions of what a result depends on, and the code's commit where there is one."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        for name in (package, f"{package}-headless"):
            try:
                found[package] = importlib.metadata.version(name)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    try:
        here = Path(__file__).resolve().parent
        commit = subprocess.run(["git", "-C", str(here), "describe", "--always", "--dirty"],
                                capture_output=True, text=True, timeout=5, check=False)
        if commit.returncode == 0:
            found["commit"] = commit.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        pass
    return found


def write_text(path: Path, text: str) -> None:
    """Write aside, then rename: a reader sees the old file or the whole new one."""
    with aside(path) as temporary:
        temporary.write_text(text)


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well, and vanishes otherwise.

    Whoever may read a new file of this user's may read it: datasets and checkpoints are shared.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{path.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
