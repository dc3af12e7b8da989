import re

import numpy as np
import pytest

from robot import registry
from robot.arms.so101 import so101
from robot.errors import ConfigError
from sim.randomization import none, some, train
from sim.tasks import language
from sim.tasks.phrasings import HELD_OUT, PLAIN, WIDER
from sim.world import Tabletop

COMMON = {
    "the", "a", "an", "to", "in", "on", "into", "inside", "it", "of", "for", "and", "be", "is", "i", "need", "should",
    "must", "not", "now", "let", "make", "with", "until", "off", "out", "up", "so", "back", "goes", "down", "table",
    "along", "colours", "slots", "them", "what", "did", "one", "light", "but", "nothing", "exactly", "end", "leave",
}


def words(text):
    return re.findall(r"<\w+>|[a-z0-9]+", text.lower())


def fours(said):
    return {tuple(said[k : k + 4]) for k in range(len(said) - 3)}


@pytest.mark.parametrize("task", sorted(PLAIN))
def test_the_wider_phrasings_stay_clear_of_those_held_out(task):
    known = {word for one in PLAIN for text in language.phrasings(one) for word in words(text)}
    held_out = [words(text) for text in language.phrasings(task, "held_out")]
    theirs = {word for said in held_out for word in said if "<" not in word} - known - COMMON
    rows = set().union(*map(fours, held_out))
    assert len(WIDER[task]) >= 6
    for text in language.phrasings(task, "train"):
        said = words(text)
        if text not in language.phrasings(task):
            assert not theirs & set(said) and not rows & fours(said), text
            assert len(said) + sum("<" in word for word in said) <= 16, text  # names have two words


def test_a_quarter_of_training_is_plain_and_every_wider_rule_is_as_likely():
    rng, plain = np.random.default_rng(0), set(language.phrasings("reach"))
    said = [language.phrase("reach", rng, "train") for _ in range(4000)]
    assert 0.22 < np.mean([text in plain for text in said]) < 0.28
    once = "see the <object>, put a finger on it", "see the <object>, lay a finger on it"
    assert 0.7 < sum(text in once for text in said) / (3000 / len(WIDER["reach"])) < 1.4


def test_the_same_generator_says_the_same_and_fills_every_gap():
    for split in language.SPLITS:
        first, second = ([language.phrase("stack", np.random.default_rng(seed), split, object="red cube",
                                          receiver="blue cube") for seed in range(20)] for _ in range(2))
        assert first == second and all("red cube" in text and "blue cube" in text for text in first)


def test_what_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"no grammar for 'juggle'.*stack"):
        language.phrase("juggle", np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"no 'odd' phrasings.*held_out"):
        language.phrasings("stack", "odd")
    assert set(HELD_OUT) == set(PLAIN)


@pytest.mark.parametrize("how, nouns", [(none(), {"cube"}), (some(axes=("object_shape",)), {"cube", "cylinder"}),
                                        (train(), {"cube", "cylinder", "block", "object", "piece"})])
def test_blocks_have_other_nouns_in_training_alone(how, nouns):
    world = Tabletop(so101(), registry.build("task", "stack"), how)
    found = set()
    for seed in range(25):
        said = world.reset(seed)
        names = list(world.scene.words.values())
        assert len({name.split()[0] for name in names}) == 3 and sum(name in said for name in names) == 2
        found |= {name.split()[1] for name in names}
    world.close()
    assert found == nouns


@pytest.mark.parametrize("task", ["pick_place", "stack", "unstack", "push", "press_button", "insert_peg", "put_back"])
def test_everything_that_is_asked_for_is_a_named_thing(task):
    world = Tabletop(so101(), registry.build("task", task), none())
    for seed in range(5):
        said, names = world.reset(seed), list(world.scene.words.values())
        count = 1 if task == "press_button" else 2  # a thing, and what it goes to
        assert sum(name in said for name in names) == count or "the hole" in said, (said, names)
        assert len(names) > count  # and another one that is not
    world.close()
