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

from robot import registry, schema
from robot.errors import ConfigError

Config = dict[str, Any]
KINDS = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
FOLDER = Path(__file__).resolve().parent.parent / "configs"


def resolve(command: str, overrides: Sequence[str] = (), preset: str | None = None) -> Config:
    """Compose the configuration of `command` with Hydra `overrides`.

    Raises `ConfigError` for an unknown option, a misspelt key, a wrong type or a missing value.
    """
    name = preset or command
    if preset is not None:
        known(command, preset)
    groups = default_groups(name)
    for override in overrides:
        key, _, value = override.partition("=")
        if key in groups and value[:1] in ("[", "{"):
            raise ConfigError(f"{key}= takes one name; there are: {', '.join(options(key))}")
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
    return schema.check(plain, own(name), several=schema.SEVERAL.get(command, ()))


def presets() -> list[str]:
    """Names of all configurations there are."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def presets_of(command: str) -> list[str]:
    """Names that `command` takes after --config-name: those whose first line says so."""
    call = f"# steadyhand {command} --config-name "
    return [name for name in presets() if (FOLDER / f"{name}.yaml").read_text().startswith(call + name)]


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


def own(name: str) -> Config:
    """What `configs/<name>.yaml` and what it extends set beside their groups, with the defaults as they stand."""
    document = yaml.safe_load((FOLDER / f"{name}.yaml").read_text()) or {}
    out: Config = {}
    for parent in document.pop("defaults", []):
        if isinstance(parent, str) and parent != "_self_":
            out.update(own(parent))
    return out | document


def known(command: str, preset: str) -> None:
    """Raise `ConfigError` for a preset that `command` does not take."""
    names = [command, *presets_of(command)]
    if preset not in names:
        raise ConfigError(_unknown(preset, names, f"{command} has no configuration {preset!r}"))


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
    if lost := re.search(r"Could not find '([\w\-]+)/([^']*)'", text):
        return _unknown(lost.group(2), options(lost.group(1)), f"there is no {lost.group(1)} {lost.group(2)!r}")
    if key := re.search(r"Could not override '([^']+)'", text):
        inside = re.search(r"object_type=([a-z0-9]+)_(\w+)", str(error.__cause__))
        if inside and inside.group(1) in groups:
            last = key.group(1).rsplit(".", 1)[-1]
            where = f"{inside.group(1)}={inside.group(2)}"
            return _unknown(last, registry.fields(*inside.groups()), f"there is no key {last!r} in {where}")
        return _unknown(key.group(1), [*_paths(own(name)), *groups], f"there is no key {key.group(1)!r}")
    wrong = re.search(r"Value '(.*)' of type '\w+' could not be converted to (\w+)(?:.*full_key: ([\w.]+))?",
                      " ".join(f"{text} {error.__cause__}".split()))
    if wrong:
        return f"{wrong.group(3) or 'a value'}={wrong.group(1)}: give {KINDS.get(wrong.group(2), wrong.group(2))}"
    if spelling := getattr(error, "override", None) or re.search(r"Ambiguous value for argument '(.*?)'", text):
        told = spelling if isinstance(spelling, str) else spelling.group(1)
        return f"{told!r} cannot be read; put a value with special characters in quotes twice: '{_quoted(told)}'"
    deepest = str(error.__cause__ or error).strip().splitlines()
    return "; ".join(line.strip() for line in deepest[:3] if line.strip())


def _quoted(override: str) -> str:
    key, _, value = override.partition("=")
    return f'{key}="{value}"'


def _paths(keys: Config, prefix: str = "") -> list[str]:
    """Every key as it is written on the command line."""
    out = []
    for key, value in keys.items():
        out += _paths(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return out


def _unknown(name: str, known: Iterable[str], text: str) -> str:
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{text}{hint} (there are: {', '.join(names) or 'none'})"
