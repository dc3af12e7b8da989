"""Plan, drop, render: only what is kept is drawn, while others plan, and nothing privileged is observed."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from datagen import rollout
from datagen.engine import LocalEngine
from datagen.episode import EXECUTED, STATE
from datagen.job import Demonstrator
from robot import config, registry


def settings(*overrides: str) -> dict[str, Any]:
    return config.resolve("generate", ["out=x", "world.size=32", "task=reach", *overrides])


@pytest.fixture
def maker():
    made: list[Demonstrator] = []

    def of(*overrides: str) -> Demonstrator:
        made.append(Demonstrator(settings(*overrides), {}))
        return made[-1]

    yield of
    for one in made:
        for world in one._worlds.values():
            world.close()
        one.renderer.release()


class Counting:
    """A real renderer that counts what it draws."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.name, self.drawn = inner, inner.name, 0
        self.load, self.release = inner.load, inner.release

    def draw(self, *arguments: Any, **named: Any) -> Any:
        self.drawn += 1
        return self.inner.draw(*arguments, **named)


def test_what_fails_is_never_drawn(maker, monkeypatch):
    made = maker()
    made.renderer = Counting(made.renderer)
    plan, tried = rollout.plan, []

    def first_fails(world, expert, mistakes, seed, seconds, begin):
        tried.append(plan(world, expert, mistakes, seed, 0.2 if not tried else seconds, begin))
        return tried[-1]

    monkeypatch.setattr(rollout, "plan", first_fails)
    row, episode = made.episode(0)
    assert [t.success for t in tried] == [False, True]
    assert row["failed"] == ["ran out of time in phase approach"]
    assert made.renderer.drawn == len(episode) == row["frames"]
    monkeypatch.setattr(rollout, "plan", lambda *a: plan(*a[:4], 0.2, a[5]))
    row, episode = made.episode(1)
    assert (episode, row["sha256"], row["attempts"]) == (None, "", 20)
    assert row["outcome"] == "failure: ran out of time in phase approach"
    assert made.renderer.drawn == len(tried[1].poses)


@pytest.mark.parametrize(("task", "seconds", "reason"), [
    ("pick_place", 0.5, "never held it"), ("pick_place", 2.6, "ran out of time holding it"),
    ("push", 0.5, "ran out of time in phase approach"),
])
def test_a_kept_failure_says_what_went_wrong(maker, task, seconds, reason):
    row, episode = maker(f"task={task}", f"seconds={seconds}", "failures=keep", "mistakes=none").episode(0)
    assert row["outcome"] == f"failure: {reason}"
    assert not episode.success
    assert len(episode) == round(seconds / 0.1)
    assert episode.columns["aux.success"].max() == 0


def test_phase_subgoal_and_progress_move_through_a_task_of_parts(maker):
    row, episode = maker("task=sort", "mistakes=none").episode(0)
    assert row["outcome"] == "success"
    columns = {k: v.squeeze() for k, v in episode.columns.items()}
    assert set(columns["aux.subgoal"]) == {0, 1, 2}  # two blocks, and done
    assert (columns["aux.subgoal"][0], columns["aux.subgoal"][-1]) == (0, 2)
    assert set(columns["aux.phase"]) >= set(range(7))
    assert columns["aux.progress"][0] < 0.5 < columns["aux.progress"][-1] == columns["aux.success"][-1] == 1
    assert np.allclose(np.linalg.norm(columns["aux.target_quat"], axis=1), 1, atol=1e-5)
    assert len(set(episode.things)) == 4  # the blocks and their trays
    slots = columns["aux.things_px.front"].reshape(len(episode), 6, 3)
    assert np.array_equal(slots[:, 4:], slots[:, :2])  # empty slots repeat the others
    assert not np.array_equal(slots[:, 0], slots[:, 1])


def test_the_observation_is_what_a_world_without_an_expert_shows(maker):
    made = maker("task=pick_place", "randomization=none")
    row, episode = made.episode(0)
    assert {k for k in episode.columns if k.startswith("observation.")} == {STATE, "observation.effort"}
    world = registry.assemble({**made.config, "renderer": "auto"}, "world")
    world.reset(row["seed"])
    for t in range(20):
        seen = world.observe()
        assert np.array_equal(seen.state.q.astype(np.float32), episode.columns[STATE][t])
        for camera, frame in seen.frames.items():
            assert np.array_equal(frame.rgb, episode.frames[f"observation.images.{camera}"][t])
        world.step(episode.columns[EXECUTED][t].astype(float))
    world.close()


@dataclass(frozen=True)
class Timed:
    """A job whose workers also send home when they planned and when they drew."""

    config: Any

    def open(self) -> Timed:
        made = Demonstrator(self.config, {})
        spans: list[tuple[str, float, float]] = []

        def timed(name: str, function: Any) -> Any:
            def call(*arguments: Any) -> Any:
                start = time.monotonic()
                out = function(*arguments)
                spans.append((name, start, time.monotonic()))
                return out

            return call

        rollout.plan, rollout.draw = timed("plan", rollout.plan), timed("draw", rollout.draw)
        object.__setattr__(self, "make", lambda number: self.packed(made, number, spans))
        return self

    @staticmethod
    def packed(made: Demonstrator, number: int, spans: list[Any]) -> dict[str, bytes]:
        spans.clear()
        made.episode(number)
        return {"spans": json.dumps([os.getpid(), spans]).encode()}


def test_one_worker_draws_while_another_plans():
    spans = [json.loads(files["spans"]) for _, files in LocalEngine().run(Timed(settings()), iter(range(12)), 2)]
    drawing = [(pid, a, b) for pid, own in spans for name, a, b in own if name == "draw"]
    planning = [(pid, a, b) for pid, own in spans for name, a, b in own if name == "plan"]
    assert len({pid for pid, *_ in drawing}) == 2
    assert any(p != q and a < d and c < b for p, a, b in drawing for q, c, d in planning)
