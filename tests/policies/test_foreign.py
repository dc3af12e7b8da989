import numpy as np
import pytest

from policies import checkpoint, foreign
from robot.errors import DataError
from robot.interfaces import Chunk


class Still:
    """Stays where it is."""

    def reset(self, instruction):
        self.instruction = instruction

    def act(self, obs):
        return Chunk(obs.stamp + 0.1, 0.1, np.repeat(obs.state.q[None], 4, 0))


def test_a_class_and_an_object_come_by_import_path(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    def reset(self, instruction): self.told = instruction\n    def act(self, obs): return None\n"
        "ready = Mine()\nnumber = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("Mine", "ready"):
        policy = checkpoint.load(f"mine:{name}")
        policy.reset("go")
        assert policy.told == "go"
    with pytest.raises(DataError, match="no reset"):
        checkpoint.load("mine:number")


@pytest.mark.parametrize(("path", "words"), [("nowhere_at_all:Thing", "cannot import"), ("json:Thing", "no 'Thing'")])
def test_what_is_not_there_is_one_line(path, words):
    with pytest.raises(DataError, match=words):
        foreign.imported(path)


def test_folders_are_not_taken_for_import_paths():
    assert not foreign.is_import("runs/train") and not foreign.is_import("/a/b:c") and foreign.is_import("a.b:C")
