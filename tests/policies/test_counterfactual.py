import dataclasses

import numpy as np
import pytest

from policies.counterfactual import Things
from policies.sampler import Sampler, describe
from robot.arms.so101 import so101


@pytest.fixture
def sampler(toy):
    features = describe(toy, ("front", "wrist"), np.arange(12), so101())
    return Sampler(toy, features, np.arange(12), horizon=8, seed=0, batch=8, rows=4, swap=0.5)


def test_names_are_read_from_the_labels(toy, sampler):
    for names, text in zip(sampler.things.names, toy.instructions):
        assert len(names) == 2 and names[0] in text and names[1] not in text
        assert all(name.endswith(" block") for name in names)


def test_the_first_part_of_a_batch_is_asked_for_another_thing(toy, sampler):
    batch, _ = sampler.step(3)
    for row, index in enumerate(batch["index"].tolist()):
        episode = int(toy.episode[index])
        slot = 1 if row < 4 else 0
        words = toy.instructions[episode].replace(sampler.things.names[episode][0], sampler.things.names[episode][slot])
        assert np.array_equal(batch["words"][row], sampler.features.encode(words))
        for camera in ("front", "wrist"):
            expected = toy.aux[f"things_px.{camera}"][index].reshape(2, 3)[slot]
            assert np.allclose(batch[f"aux.target_px.{camera}"][row], expected)


def told(sampler, batch, row, column):
    """The words of a sample that are pointed at."""
    vocabulary = sampler.features.words
    return " ".join(vocabulary[w] for w, is_it in zip(batch["words"][row], batch["pointed"][row, :, column]) if is_it)


def test_which_words_name_the_target_is_known_also_when_another_thing_is_asked_for(toy, sampler):
    batch, rows = sampler.step(3)
    for row, index in enumerate(batch["index"].tolist()):
        names = sampler.things.names[int(toy.episode[index])]
        assert told(sampler, batch, row, 0) == names[row < 4] and not batch["pointed"][row, :, 1].any()
    assert rows["pointed"].shape == (4, sampler.features.limit, 2) and bool(rows["pointed"][..., 0].any(1).all())


@pytest.mark.parametrize(("text", "target", "goal"), [
    ("put the {0} on the {1}", True, True), ("onto the {1} with the {0}", True, True),
    ("now the {0}, the {0}", True, False), ("tidy up", False, False),
    ("put the {1} there", False, False),  # which is not where the target is
])
def test_the_one_other_thing_that_is_named_is_the_goal(toy, sampler, text, target, goal):
    names = sampler.things.names[0]
    said = [text.format(*names), *toy.instructions[1:]]
    data = dataclasses.replace(toy, instructions=said)
    made = Sampler(data, describe(data, ("front", "wrist"), np.arange(12), so101()), np.arange(12), 8, 0, 8, 4)
    batch = made.gather(toy.start[:1])
    assert told(made, batch, 0, 0) == (names[0] if target else "")
    assert told(made, batch, 0, 1) == (names[1] if goal else "")
    assert int(batch["pointed"][0, :, 0].sum()) == 2 * target  # where it is said first


def test_the_dataset_itself_is_not_changed(toy, sampler):
    before = {k: v.copy() for k, v in toy.aux.items()}
    for step in range(3):
        sampler.step(step)
    assert all(np.array_equal(before[k], v) for k, v in toy.aux.items())


def test_a_scene_with_nothing_else_to_ask_for_stays_as_it_is(toy, sampler):
    alone = dataclasses.replace(toy, aux={**toy.aux, "things_words": toy.aux["things_words"] * 0})
    batch = sampler.gather(np.arange(5))
    words = batch["words"].clone()
    assert Things(alone, sampler.features).swap(batch, 5, np.random.default_rng(0)) == 0
    assert np.array_equal(words, batch["words"])


def test_data_without_such_labels_is_fine(toy, sampler):
    plain = dataclasses.replace(toy, aux={k: v for k, v in toy.aux.items() if not k.startswith("things")})
    assert Things(plain, sampler.features).swap(sampler.gather(np.arange(5)), 5, np.random.default_rng(0)) == 0
    assert not Things(plain, sampler.features).pointed().any()


def test_names_come_as_words_unless_two_things_share_one(toy, sampler):
    batch = sampler.gather(np.array([0, 25]))
    for row, episode in enumerate((0, 1)):
        for slot, name in enumerate(sampler.things.names[episode]):
            assert np.array_equal(batch["names"][row, slot], sampler.features.encode(name)[:4])
    letters = toy.aux["things_words"].copy().reshape(len(toy), 2, -1)
    letters[:, 1] = letters[:, 0]
    twins = Things(dataclasses.replace(toy, aux={**toy.aux, "things_words": letters.reshape(len(toy), -1)}),
                   sampler.features)
    assert not twins.tokens.any()
    assert "names" not in sampler.gather(np.array([0]), pictures=False)
