"""Worker processes: order does not matter, a crash is retried, an error is told, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from datagen.engine import LocalEngine
from robot.errors import ConfigError, DataError


@dataclass(frozen=True)
class Plan:
    """A job whose maker squares its number, and misbehaves where told."""

    folder: str = ""
    die_at: int = -1
    deaths: int = 0
    refuse_at: int = -1
    break_at: int = -1

    def open(self) -> Plan:
        return self

    def make(self, number: int) -> dict[str, bytes]:
        if number == self.die_at:
            mark = Path(self.folder) / f"death-{len(list(Path(self.folder).glob('death-*')))}"
            if int(mark.name[6:]) < self.deaths:
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if number == self.refuse_at:
            raise ConfigError("no such cube")
        if number == self.break_at:
            raise ZeroDivisionError("never divide")
        return {"square": json.dumps([number**2, os.environ.get("OMP_NUM_THREADS")]).encode()}


def squares(results) -> dict[int, int]:
    return {number: json.loads(files["square"])[0] for number, files in results}


@pytest.mark.parametrize("workers", [1, 2])
def test_every_number_comes_back_once_whatever_the_workers(workers):
    assert squares(LocalEngine().run(Plan(), iter(range(7)), workers)) == {n: n * n for n in range(7)}


def test_workers_run_one_thread_and_leave_ours_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    (_, files), = LocalEngine().run(Plan(), iter([3]), 1)
    assert json.loads(files["square"]) == [9, "1"]
    assert os.environ["OMP_NUM_THREADS"] == "5"


def test_a_worker_that_dies_is_replaced_and_its_episode_tried_again(tmp_path):
    plan = Plan(str(tmp_path), die_at=2, deaths=2)
    assert squares(LocalEngine().run(plan, iter(range(4)), 2)) == {n: n * n for n in range(4)}


def test_an_episode_that_kills_every_worker_is_an_error(tmp_path):
    plan = Plan(str(tmp_path), die_at=0, deaths=9)
    with pytest.raises(DataError, match=r"died 3 times at episode 0 \(exit status -9\)"):
        list(LocalEngine().run(plan, iter(range(2)), 1))


@pytest.mark.parametrize(("plan", "text"), [
    (Plan(refuse_at=1), "episode 1: no such cube"),
    (Plan(break_at=1), "episode 1: ZeroDivisionError: never divide"),
])
def test_an_error_in_a_worker_is_told_in_one_line(plan, text):
    with pytest.raises(DataError) as caught:
        list(LocalEngine().run(plan, iter(range(3)), 1))
    assert str(caught.value) == text


def test_when_numbers_end_early_those_in_flight_still_come():
    taken = []

    def numbers():
        for n in range(100):
            if len(taken) >= 2:
                return
            yield n

    for number, _ in LocalEngine().run(Plan(), numbers(), 2):
        taken.append(number)
    assert sorted(taken) == list(range(len(taken)))
    assert 2 <= len(taken) <= 4
