"""Every command's configuration composes, and every option of every group it offers does too."""

from __future__ import annotations

import dataclasses

import pytest

from robot import cli, config, registry


@pytest.mark.parametrize("preset", config.presets())
def test_every_preset_extends_a_known_command_or_is_one(preset):
    assert config.default_groups(preset) is not None


def rows():
    for command in cli.COMMANDS:
        for group in config.default_groups(command):
            yield command, group


@pytest.mark.parametrize(("command", "group"), list(rows()))
def test_every_option_composes(command, group):
    required = {"out": "x", "data": "x", "checkpoint": "x", "link": "x", "port": "virtual", "record": "x"}
    document = (config.FOLDER / f"{command}.yaml").read_text()
    fill = [f"{k}={v}" for k, v in required.items() if f"\n{k}:" in document]
    for name in config.options(group):
        told = [f"{group}.{key}=so101" for key in bare(group, name)]
        resolved = config.resolve(command, [*fill, f"{group}={name}", *told])
        option = resolved[group].get(registry.OPTION_KEY)
        assert option in registry.load(group) or (option is None and not registry.load(group))


def bare(group, name):
    """What an option written in code alone wants to be told, as an arm's driver its model."""
    if name not in registry.load(group):
        return []
    return [s.name for s in registry.fields(group, name).values() if s.default is dataclasses.MISSING]
