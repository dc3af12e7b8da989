import dataclasses

import pytest

from policies import checkpoint
from policies.features import PAD, RARE, UNKNOWN, Features, seldom, vocabulary
from robot import registry
from robot.arms.so101 import so101
from robot.errors import DataError

FEATURES = Features(("pan", "gripper"), ("front",), 32, 10.0, vocabulary(["Put the red block", "lift the cup"]),
                    (0.0, 0.0), (1.0, 1.0))


def test_unknown_words_and_padding_have_their_own_numbers():
    found = FEATURES.encode("Put the PURPLE block!")
    assert list(found[:2]) == [FEATURES.words.index("put"), FEATURES.words.index("the")]
    assert found[2] == UNKNOWN and found[3] == FEATURES.words.index("block")
    assert (found[4:] == PAD).all() and len(found) == FEATURES.limit


def test_an_unknown_word_is_read_as_the_known_one_that_it_begins_with():
    number = FEATURES.words.index
    found = FEATURES.encode("blocks lifting reddish puts")
    assert list(found[:4]) == [number("block"), number("lift"), UNKNOWN, UNKNOWN]
    longest = vocabulary(["left leftmost"])
    found = dataclasses.replace(FEATURES, words=longest).encode("leftmostly leftwards")
    assert list(found[:2]) == [longest.index("leftmost"), longest.index("left")]


def test_words_that_hardly_any_instruction_has_are_unknown_at_work_alone():
    said = ["put the block atop", "put the block over", "over there"] + ["put the block on"] * (2 * RARE - 3)
    features = dataclasses.replace(FEATURES, words=vocabulary(said), rare=seldom(said))
    assert features.rare == ("atop", "there") and set(features.rare) < set(features.words)
    assert not seldom(said[:4])  # of a few instructions every word counts
    atop = features.words.index("atop")
    assert features.encode("atop")[0] == UNKNOWN and features.encode("atop", rare=True)[0] == atop
    assert dataclasses.replace(features, rare=None).encode("atop")[0] == atop
    assert features.encode("put it over", rare=True).tolist() == features.encode("put it over").tolist()


def test_a_long_instruction_is_cut():
    assert len(FEATURES.encode("red " * 100)) == FEATURES.limit


def test_features_survive_json():
    assert Features.from_json(FEATURES.to_json()) == FEATURES


@pytest.mark.parametrize("spoil", [lambda d: d.pop("joints"), lambda d: d.update(colour="red")])
def test_broken_features_are_refused(spoil):
    document = FEATURES.to_json()
    spoil(document)
    with pytest.raises(DataError, match=r"joints|colour"):
        Features.from_json(document)


def test_another_arm_or_a_missing_camera_is_named():
    FEATURES.check(("pan", "gripper"), ("front", "wrist"))
    with pytest.raises(DataError, match="this arm has a, b, c"):
        FEATURES.check(("a", "b", "c"), ("front",))
    with pytest.raises(DataError, match="camera 'front'"):
        FEATURES.check(("pan", "gripper"), ("wrist",))


def test_an_arm_of_other_links_is_refused_although_its_joints_have_the_same_names():
    features = checkpoint.load("pick_place").features
    features.fits(so101())
    with pytest.raises(DataError, match="another arm than model=koch"):
        features.fits(registry.build("model", "koch"))
