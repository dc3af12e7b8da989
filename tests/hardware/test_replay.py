"""A flight record brings the supervisor to the same verdicts again, also one that was cut off."""

import pytest

from hardware import replay
from hardware.lab import Lab, Workshop
from robot import config
from robot.errors import DataError
from robot.faults import CATALOGUE
from robot.recorder import McapRecorder
from robot.supervisor import Supervisor


@pytest.fixture(scope="module")
def flight(tmp_path_factory):
    """Two seconds of work with a killed policy and a servo that restarts."""
    folder = tmp_path_factory.mktemp("flight")
    shop = Workshop.of(config.resolve("campaign"), folder)
    path = folder / "flight.mcap"
    recorder = McapRecorder(path, shop.model.spec)
    lab = Lab(shop, 1, 1, recorder)
    lab.inject("policy off at 0.3")
    lab.inject("servo wrist_flex off at 0.6 for 0.3")
    lab.run(3.5, lambda: False)
    recorder.close()
    return path


def test_the_verdicts_are_the_same(flight, capsys):
    made = replay.replay(flight)
    assert made.cycles > 300 and not made.differ
    words = " ".join(w for _, w in made.story)
    assert "dead_policy" in words and "reset names" in words
    assert replay.main({"record": str(flight), "story": True}) == 0
    assert "are the same again" in capsys.readouterr().out


def test_a_changed_catalogue_shows(flight, monkeypatch, capsys):
    rest = [row for name, row in CATALOGUE.items() if name != "dead_policy"]  # the catalogue itself keeps its order
    monkeypatch.setattr(replay, "Supervisor", lambda: Supervisor(rest))
    assert replay.replay(flight).differ
    assert replay.main({"record": str(flight), "story": False}) == 1
    assert "it was hold (dead_policy" in capsys.readouterr().out


def test_a_record_that_was_cut_off_replays_to_its_end(flight, tmp_path):
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(flight.read_bytes()[: flight.stat().st_size // 2])
    made = replay.replay(cut)
    assert made.cycles > 50 and not made.differ


def test_another_file_is_refused(tmp_path):
    other = tmp_path / "x.mcap"
    other.write_bytes(b"hello")
    with pytest.raises(DataError):
        replay.replay(other)
