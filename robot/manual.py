"""What `steadyhand COMMAND --help` prints: its call, every group with its options, every key with its default."""

from __future__ import annotations

import re
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from robot import config, registry


def page(command: str, purpose: str, preset: str | None = None) -> str:
    """The help of one command. Raises `ConfigError` for a preset that it does not have."""
    name = preset or command
    if preset is not None:
        config.known(command, preset)
    head, keys = _file(name)
    lines = [f"steadyhand {command}: {purpose}", "", *(f"  {row}" for row in head)]
    for other in config.presets_of(command) if preset is None else ():
        lines.append(f"  another use of it: steadyhand {command} --config-name {other} --help")
    groups = config.default_groups(name)
    if groups:
        lines += ["", "groups (choose with group=name; set what stands below with group.key=value):"]
        chosen = _composed(name)
        for group, default in groups.items():
            shown = "null" if default is None else default
            lines.append(f"  {group}={shown}   of: {', '.join(config.options(group))}")
            lines += [f"      {group}.{key}={_shown(value)}" for key, value in (chosen.get(group) or {}).items()
                      if key != registry.OPTION_KEY]
    lines += ["", "keys and defaults (change with key=value; ??? must be given):", *(f"  {row}" for row in keys)]
    return "\n".join(lines)


def _file(name: str) -> tuple[list[str], list[str]]:
    """Opening comment and own keys of `configs/<name>.yaml`, both as they are written there."""
    rows = (config.FOLDER / f"{name}.yaml").read_text().splitlines()
    head = [row.removeprefix("# ") for row in rows if row.startswith("# ")]
    body = "\n".join(row for row in rows if not row.startswith("# "))
    return head, re.sub(r"\Adefaults:\n(?:  - .*\n)*", "", body).splitlines()


def _composed(name: str) -> Any:
    """The configuration with nothing overridden."""
    config.register(tuple(config.default_groups(name)))
    with initialize_config_dir(str(config.FOLDER), version_base=None):
        return OmegaConf.to_container(compose(name), resolve=False, enum_to_str=True)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value) or "''"
