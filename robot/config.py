"""Composition: Hydra presets from `configs/` and options from code become one plain dictionary."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from robot import registry
from robot.errors import ConfigError

Config = dict[str, Any]
FOLDER = Path(__file__).resolve().parent.parent / "configs"


def resolve(command: str, overrides: Sequence[str] = (), preset: str | None = None) -> Config:
    """Compose the configuration of `command` with Hydra `overrides`.

    Raises `ConfigError` for an unknown option, a misspelt key, a wrong type or a missing value.
    """
    name = preset or command
    if not (FOLDER / f"{name}.yaml").is_file():
        raise ConfigError(f"there is no configuration {name!r} in {FOLDER}; there are: {', '.join(presets())}")
    groups = default_groups(name)
    register(tuple(groups))
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(FOLDER), version_base=None):
            composed = compose(name, overrides=list(overrides))
        missing = sorted(OmegaConf.missing_keys(composed))
        plain = cast(Config, OmegaConf.to_container(composed, resolve=True, enum_to_str=True))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, name, groups)) from error
    if missing:
        raise ConfigError(f"{missing[0]}= must be given (steadyhand {command} {missing[0]}=...)")
    return plain


def presets() -> list[str]:
    """Names of the configurations a command can start from."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def default_groups(name: str) -> dict[str, str | None]:
    """Group -> default option, read from the defaults list of `configs/<name>.yaml` and what it extends."""
    document = yaml.safe_load((FOLDER / f"{name}.yaml").read_text()) or {}
    out: dict[str, str | None] = {}
    for entry in document.get("defaults", []):
        if isinstance(entry, dict):
            for key, value in entry.items():
                out[key.removeprefix("optional ").removeprefix("override ").strip("/ ")] = value
        elif entry != "_self_":
            out.update(default_groups(entry))
    return out


@lru_cache(maxsize=64)
def register(groups: tuple[str, ...]) -> None:
    """Put every code option of `groups` into Hydra's store, typed by its constructor."""
    store = ConfigStore.instance()
    for group in groups:
        for name in registry.load(group):
            store.store(group=group, name=name, node=_schema(group, name))


def options(group: str) -> list[str]:
    """Every name that `group=` accepts: code options and YAML presets."""
    yamls = {p.stem for p in (FOLDER / group).glob("*.yaml")}
    return sorted(yamls | set(registry.load(group)))


def _schema(group: str, name: str) -> Any:
    columns: list[Any] = [(registry.OPTION_KEY, str, dataclasses.field(default=name))]
    for setting in registry.fields(group, name).values():
        kind = setting.type
        if setting.default is dataclasses.MISSING:
            default = dataclasses.field(default=MISSING)
        else:
            value = setting.default
            value = list(value) if isinstance(value, (tuple, list)) else value
            default = dataclasses.field(default_factory=partial(_same, value))
        columns.append((setting.name, kind, default))
    return OmegaConf.structured(dataclasses.make_dataclass(f"{group}_{name}", columns))


def _same(value: Any) -> Any:
    return value


def _explain(error: Exception, name: str, groups: dict[str, str | None]) -> str:
    """One line for what Hydra refused, with the nearest names it would have taken."""
    text = " ".join(str(error).split())
    lost = re.search(r"Could not find '([\w\-]+)/([^']+)'", text)
    if lost:
        return _unknown(lost.group(2), options(lost.group(1)), f"there is no {lost.group(1)} {lost.group(2)!r}")
    if key := re.search(r"Could not override '([^']+)'", text):
        inside = re.search(r"object_type=([a-z0-9]+)_(\w+)", str(error.__cause__))
        if inside and inside.group(1) in groups:
            last = key.group(1).rsplit(".", 1)[-1]
            where = f"{inside.group(1)}={inside.group(2)}"
            return _unknown(last, registry.fields(*inside.groups()), f"there is no key {last!r} in {where}")
        return _unknown(key.group(1), [*_keys(name), *groups], f"there is no key {key.group(1)!r}")
    deepest = str(error.__cause__ or error).strip().splitlines()
    return "; ".join(line.strip() for line in deepest[:3] if line.strip())


def _keys(name: str) -> list[str]:
    """The keys of `configs/<name>.yaml` and of what it extends that are not groups."""
    document = yaml.safe_load((FOLDER / f"{name}.yaml").read_text()) or {}
    parents = [entry for entry in document.get("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    return [key for parent in parents for key in _keys(parent)] + [key for key in document if key != "defaults"]


def _unknown(name: str, known: Iterable[str], text: str) -> str:
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{text}{hint} (there are: {', '.join(names) or 'none'})"
