"""The registry: what is configurable, how names resolve, how objects are wired."""

from __future__ import annotations

import dataclasses

import pytest

from robot import registry
from robot.errors import ConfigError
from robot.registry import assemble, build, fields, get, option


class Lamp:
    """A runtime object no configuration can hold."""


@pytest.fixture
def groups(monkeypatch):
    monkeypatch.setattr(registry, "_OPTIONS", {})
    monkeypatch.setattr(registry, "_LOADED", set())
    monkeypatch.setattr(registry, "PROVIDERS", {"room": (), "bulb": ()})

    @option("bulb", "led")
    class Led:
        def __init__(self, watts: float = 5.0) -> None:
            self.watts = watts

    @option("room", "kitchen")
    class Kitchen:
        def __init__(self, bulb: Led, lamp: Lamp, size: int, tags: tuple[str, ...] = ("a",)) -> None:
            self.bulb, self.lamp, self.size, self.tags = bulb, lamp, size, tags

    return Kitchen


def test_plain_parameters_are_configuration_and_others_are_not(groups):
    found = fields("room", "kitchen")
    assert list(found) == ["size", "tags"]
    assert found["size"].default is dataclasses.MISSING
    assert found["tags"].default == ("a",)


def test_assemble_wires_groups_by_parameter_name(groups):
    lamp = Lamp()
    config = {"room": {"_option_": "kitchen", "size": 3}, "bulb": {"_option_": "led", "watts": 9.0}}
    room = assemble(config, "room", lamp=lamp)
    assert (room.size, room.bulb.watts, room.lamp) == (3, 9.0, lamp)


def test_runtime_objects_come_before_groups(groups):
    ready = build("bulb", "led", watts=1.0)
    room = assemble({"room": {"_option_": "kitchen", "size": 1}, "bulb": "led"}, "room", lamp=Lamp(), bulb=ready)
    assert room.bulb is ready


def test_unknown_name_lists_what_there_is(groups):
    with pytest.raises(ConfigError, match=r"no bulb 'neon'.*led"):
        get("bulb", "neon")


def test_unknown_key_is_refused(groups):
    with pytest.raises(ConfigError, match=r"bulb 'led' has no key 'volts'.*watts"):
        build("bulb", {"_option_": "led", "volts": 3})


def test_the_same_name_twice_is_refused(groups):
    with pytest.raises(ConfigError, match="bulb/led is registered twice"):
        option("bulb", "led")(Lamp)


def test_every_provider_group_loads():
    for group in registry.PROVIDERS:
        assert registry.load(group), f"group {group} has no option"
