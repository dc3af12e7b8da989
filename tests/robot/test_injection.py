"""The fault grammar: what it reads, what it refuses, and when a fault is in force."""

import pytest

from robot.errors import ConfigError
from robot.injection import Condition, Injection, Kind, Schedule, instances, parse, parse_all

SUPPORTED = {"servo": (Kind.OFF, Kind.SLOW), "camera": (Kind.STUCK,)}


def never(quantity: str, instance: str) -> float:
    raise AssertionError("nothing to measure")


@pytest.mark.parametrize("text, fault", [
    ("servo 3 off", Injection("servo", "3", Kind.OFF)),
    ("bus garbage 0.02 for 5", Injection("bus", "", Kind.GARBAGE, 0.02, 0.0, 5.0)),
    ("temperature 2 wrong 80 at 10", Injection("temperature", "2", Kind.WRONG, 80.0, 10.0)),
    ("camera wrist stuck at 1 for 2", Injection("camera", "wrist", Kind.STUCK, None, 1.0, 2.0)),
    ("supply wrong 6.5 when time > 30",
     Injection("supply", "", Kind.WRONG, 6.5, condition=Condition("time", "", ">", 30.0))),
    ("servo 1 off for 1 when q 2 < -0.5",
     Injection("servo", "1", Kind.OFF, lasts=1.0, condition=Condition("q", "2", "<", -0.5))),
])
def test_reads(text, fault):
    assert parse(text) == fault
    assert parse(text).text == text


@pytest.mark.parametrize("text, words", [
    ("", "empty"), ("servo 3", "no kind"), ("off", "no kind"), ("servo 3 off at soon", "not a number"),
    ("servo 3 off forever", "'forever' is not a number"), ("servo 3 off 1 2", "cannot read '2'"),
    ("servo 3 off when hot", "write when"), ("servo 3 off for 0", "more than 0"), ("servo 3 off at -1", "0 or more"),
])
def test_refuses_what_it_cannot_read(text, words):
    with pytest.raises(ConfigError, match=words):
        parse(text)


@pytest.mark.parametrize("text, words", [("servo 3 stuck", "cannot be stuck"), ("motor 3 off", "no component 'motor'")])
def test_refuses_what_is_not_supported(text, words):
    with pytest.raises(ConfigError, match=words):
        parse(text, SUPPORTED)
    with pytest.raises(ConfigError, match=words):
        Schedule(SUPPORTED).add(text, 0.0)


def test_several():
    assert [f.component for f in parse_all("servo 3 off; bus slow 0.1 ;")] == ["servo", "bus"]


def test_window():
    schedule = Schedule(SUPPORTED)
    schedule.add("servo 3 off at 2 for 3", 10.0)
    seen = [len(schedule.active(t, never)) for t in (10.0, 11.9, 12.0, 14.9, 15.0, 20.0)]
    assert seen == [0, 0, 1, 1, 0, 0] and schedule.pending() == ()


def test_condition_starts_the_window_once():
    schedule, speed = Schedule(SUPPORTED), {"1": 0.0}
    schedule.add("servo 3 off at 1 for 2 when speed 1 > 0.5", 0.0)

    def at(now: float, value: float) -> int:
        speed["1"] = value
        return len(schedule.active(now, lambda quantity, instance: speed[instance]))

    assert [at(0, 0.1), at(5, 0.9), at(5.5, 0.0), at(6, 0.0), at(7.9, 0.0), at(8, 0.9)] == [0, 0, 0, 1, 1, 0]


def test_clear():
    schedule = Schedule(SUPPORTED)
    schedule.add("servo off", 0.0)
    schedule.clear()
    assert schedule.active(1.0, never) == ()


def test_instances():
    names, ids = ("pan", "lift", "grip"), (1, 2, 9)
    meant = [instances(parse(f"servo {which} off"), names, ids) for which in ("9", "lift", "all")]
    assert meant == [[2], [1], [0, 1, 2]]
    assert instances(parse("servo off"), names, ids) == [0, 1, 2]
    with pytest.raises(ConfigError, match="there are: 1, 2, 9, pan"):
        instances(parse("servo 3 off"), names, ids)
