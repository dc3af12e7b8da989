"""Mistakes happen, leave the labels clean, and are followed by the way back."""

from __future__ import annotations

import numpy as np
import pytest

from datagen import manifest
from datagen.episode import ACTION, EXECUTED
from datagen.expert import Expert
from datagen.job import Demonstrator
from datagen.perturb import KINDS, Mistakes, mix, noise
from robot import config
from robot.arms.so101 import so101
from robot.errors import ConfigError

CLEAN = [f"mistakes.{kind}=0" for kind in KINDS]


@pytest.fixture(scope="module")
def makers():
    """A maker of pick-and-place episodes by the one kind of mistake that each of them has."""
    made: dict[str, Demonstrator] = {}

    def of(kind: str) -> Demonstrator:
        if kind not in made:
            chosen = ["mistakes=mix", *CLEAN, "mistakes.amount=0"] + ([f"mistakes.{kind}=1"] if kind else [])
            made[kind] = Demonstrator(config.resolve("generate", ["out=x", "world.size=16", *chosen]), {})
        return made[kind]

    yield of
    for maker in made.values():
        for world in maker._worlds.values():
            world.close()
        maker.renderer.release()


def episode(makers, kind: str, number: int = 0) -> tuple[dict, dict[str, np.ndarray]]:
    row, raw = makers(kind).episode(number)
    assert row["outcome"] == "success" and raw is not None
    assert row["mistakes"] == ([kind] if kind else [])
    return row, {name: values.squeeze() for name, values in raw.columns.items()}


def spells(held: np.ndarray) -> int:
    """How many times it was taken hold of."""
    return int((np.diff(np.concatenate([[0], held > 0.5]).astype(int)) == 1).sum())


def test_without_mistakes_what_is_wanted_is_executed(makers):
    _, columns = episode(makers, "")
    assert np.allclose(columns[EXECUTED], columns[ACTION], atol=1e-6)
    assert spells(columns["aux.held"]) == 1


def test_a_wrong_start_is_swerved_back_from(makers):
    _, columns = episode(makers, "wrong_start")
    gap = np.abs(columns[EXECUTED] - columns[ACTION])[:, :-1].max(1)
    assert gap[0] > 0.05
    assert gap[-1] < 1e-3 < gap[3]


def test_a_missed_grasp_is_tried_again(makers):
    _, columns = episode(makers, "missed")
    shut = so101().spec.lower[-1]
    forced = np.flatnonzero((np.abs(columns[EXECUTED][:, -1] - shut) < 1e-6) & (columns[ACTION][:, -1] > shut + 0.05))
    assert len(forced) >= 3  # it closed where the expert wanted it open
    assert not (columns["aux.held"][: forced[0]] > 0.5).any()
    assert (columns["aux.held"][forced[-1] :] > 0.5).any()


def test_what_was_dropped_is_picked_up_again(makers):
    _, columns = episode(makers, "dropped")
    assert spells(columns["aux.held"]) >= 2
    assert columns["aux.phase"].max() >= 6


def test_what_was_displaced_is_followed(makers):
    row, columns = episode(makers, "displaced")
    (at, shift), = row["knocks"]
    assert 0.02 <= np.hypot(*shift[:2]) <= 0.05
    before, after = columns["aux.target_xyz"][at], columns["aux.target_xyz"][at + 1]
    assert np.linalg.norm((after - before)[:2]) > 0.01
    assert not (columns["aux.held"][: at + 1] > 0.5).any()
    assert (columns["aux.held"][at:] > 0.5).any()


def test_labels_stay_clean_under_noise():
    """The label is the expert's wish for the state that noise led to, not what was executed."""
    maker = Demonstrator(config.resolve("generate", ["out=x", "world.size=16", "task=reach"]), {})
    _, raw = maker.episode(0)
    world, expert = maker.world(0), Expert()
    world.reset(manifest.seed_of(0, 0, 0))
    expert.reset(world)
    for wanted, executed in zip(raw.columns[ACTION], raw.columns[EXECUTED]):
        assert np.allclose(expert.act(), wanted, atol=1e-6)
        world.step(executed.astype(float))
    assert np.abs(raw.columns[EXECUTED] - raw.columns[ACTION]).max() > 0.003
    world.close()
    maker.renderer.release()


def test_noise_has_the_strength_and_memory_asked_for():
    rng, spec = np.random.default_rng(0), so101().spec
    disturbance = noise(0.02, 0.8).draw(rng, spec)
    q = (spec.lower + spec.upper) / 2
    values = np.array([disturbance.act(q, q, {}) - q for _ in range(4000)])
    assert values[50:, :-1].std() == pytest.approx(0.02, rel=0.1)
    assert np.abs(values[:, -1]).max() == 0  # the gripper is left alone
    assert np.corrcoef(values[50:-1, 0], values[51:, 0])[0, 1] == pytest.approx(0.8, abs=0.06)


def test_each_kind_comes_as_often_as_the_mix_says():
    rng, spec = np.random.default_rng(1), so101().spec
    shares = {"wrong_start": 0.5, "missed": 0.2, "dropped": 0.05, "displaced": 0.0}
    drawn = [mix(**shares).draw(rng, spec) for _ in range(2000)]
    for kind in KINDS[1:]:
        assert np.mean([kind in d.waiting for d in drawn]) == pytest.approx(shares[kind], abs=0.03)
    assert np.mean([d.happened == ["wrong_start"] for d in drawn]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("build", [lambda: mix(missed=1.2), lambda: mix(amount=-0.1), lambda: noise(0.5)])
def test_a_mix_that_cannot_be_is_refused(build):
    with pytest.raises(ConfigError, match=r"mistakes\.\w+="):
        build()


def test_nothing_is_what_none_does():
    spec = so101().spec
    disturbance = Mistakes().draw(np.random.default_rng(0), spec)
    assert np.array_equal(disturbance.act(spec.home, spec.home, {}), spec.home)
    assert disturbance.shift({"aux.target_xyz": np.zeros(3), "tip_xyz": np.zeros(3)}) is None
