"""What the values of a command's own keys must be: of their default's kind, and within what makes sense."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from robot.errors import ConfigError

INF = math.inf
# (least, most) of a key, wherever it stands, and of its last part where it is one key of several.
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("seed", "first_seed", "videos", "replay", "threads", "pairs"), (0, INF)),
    **dict.fromkeys(("episodes", "workers", "attempts", "runs", "block", "batch", "rows", "columns", "validate_every",
                     "save_every", "simulate_episodes", "demonstrations", "train_steps", "evaluate_episodes",
                     "deploy_episodes"), (1, INF)),
    **dict.fromkeys(("seconds", "minutes", "hours", "faults_per_hour", "repair", "latency", "timeout", "hold",
                     "learning_rate", "weight_decay", "volts", "camera_rate"), (0, INF)),
    **dict.fromkeys(("warmup", "averaging", "validation", "share"), (0, 1)),
    **dict.fromkeys(("rate", "sim_rate"), (1, 1000)),
    "replan": (0.02, INF),
    "pixels": (16, 4096),
}


# Keys of a command that take one text or a list of several.
SEVERAL: dict[str, tuple[str, ...]] = {"train": ("data",)}


def check(given: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str = "",
          several: Sequence[str] = ()) -> dict[str, Any]:
    """`given` with whole numbers as floats where the default is one. Raises `ConfigError`, naming the key.

    Those of `several` may be lists of what they otherwise are.
    """
    out = {}
    for key, value in given.items():
        if key in several and isinstance(value, list):
            out[key] = [_value(v, defaults[key], key) for v in _of(value, bool(value), key, "give at least one")]
        else:
            out[key] = _value(value, defaults[key], prefix + key) if key in defaults else value
    return out


def _value(value: Any, default: Any, key: str) -> Any:
    if isinstance(default, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key}={_shown(value)}: set one of its keys: {', '.join(f'{key}.{k}' for k in default)}")
        return check(value, default, f"{key}.")
    if isinstance(default, bool):
        return _of(value, isinstance(value, bool), key, "give true or false")
    if isinstance(default, int):
        whole = isinstance(value, int) and not isinstance(value, bool)
        return _within(_of(value, whole, key, "give a whole number"), key)
    if isinstance(default, float):
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return _within(float(_of(value, number, key, "give a number")), key)
    if isinstance(default, list):
        return _of(value, isinstance(value, list), key, f"give a list, as in '{key}=[{_shown(value)}]'")
    return _text(value, default, key)


def _text(value: Any, default: str | None, key: str) -> str | None:
    if value is None and default is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    _of(value, isinstance(value, str), key, "give text, in quotes where it reads like something else")
    return str(_of(value, value != "" or default == "", key, "give a value, or leave it out"))


def _of(value: Any, right: bool, key: str, what: str) -> Any:
    if not right:
        raise ConfigError(f"{key}={_shown(value)}: {what}")
    return value


def _within(value: Any, key: str) -> Any:
    least, most = RANGES.get(key.rsplit(".", 1)[-1], (-INF, INF))
    _of(value, value >= least, key, f"give at least {least:g}")
    return _of(value, value <= most, key, f"give at most {most:g}")


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
