"""What makes a dataset the one it is: the configuration that its episodes depend on, and who may add to it."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from robot.errors import ConfigError, DataError
from robot.output import CONFIG

# Keys that change how a dataset is made, not what is in it.
FREE = ("out", "episodes", "workers", "engine", "debug", "block", "command", "merge", "split", "share")
ENCODING = ("codec", "pixels")
LATER = ("learner",)  # keys that older datasets do not have: empty is as good as absent


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides what the raw episodes are."""
    return {k: v for k, v in config.items() if k not in FREE + ENCODING and not (k in LATER and not v)}


def digest(config: Mapping[str, Any]) -> str:
    """Hash of `identity(config)`, 16 hex digits."""
    return hashlib.sha256(json.dumps(identity(config), sort_keys=True).encode()).hexdigest()[:16]


def seed_of(seed: int, number: int, attempt: int) -> int:
    """The seed of one attempt at episode `number`: from 2**61 to 2**62, where no evaluation and no deployment draws."""
    words = np.random.SeedSequence(seed, spawn_key=(number, attempt)).generate_state(2, np.uint32)
    return 1 << 61 | int(words[0]) << 29 | int(words[1]) >> 3


def same(out: Path, config: Mapping[str, Any]) -> bool:
    """True when `out` holds a run of the same configuration, False when it holds none.

    Raises `ConfigError` that names the first key that differs.
    """
    held = out / CONFIG
    if not held.is_file():
        return False
    try:
        before = yaml.safe_load(held.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{held} cannot be read ({str(error).splitlines()[0]})") from error
    if not isinstance(before, dict) or before.get("command") != "generate":
        what = before.get("command") if isinstance(before, dict) else None
        raise DataError(f"{out} holds a run of {what!r}, which cannot be gone on with; choose another out=")
    old, new = flat(before), flat(config)
    for key in sorted({**old, **new}):
        if key in LATER and not old.get(key) and not new.get(key):
            continue
        if key.split(".")[0] not in FREE and old.get(key) != new.get(key):
            raise ConfigError(f"{out} was made with {key}={old.get(key)}, this run has {key}={new.get(key)}; "
                              "give the same value, or another out=")
    return True


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; an option's name stands under its group."""
    out: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            out |= flat(value, f"{name}.")
        else:
            out[name.removesuffix("._option_")] = list(value) if isinstance(value, tuple) else value
    return out


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Nobody else writes to `out` meanwhile; the lock dies with the process. Raises `DataError` when it is held."""
    with (out / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(f"another run is writing to {out}; wait for it or choose another out=") from error
        yield
