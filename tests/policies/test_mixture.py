import dataclasses

import numpy as np
import pytest
import torch

from policies.kinematics import Chain
from policies.mixture import Stack, mix, models
from policies.sampler import Sampler, describe_all
from robot.arms import so101, wx250s
from robot.errors import DataError
from tests.policies.conftest import make_toy

CAMERAS = ("front", "wrist")
N = 12 * 20  # frames of the first part


@pytest.fixture
def sampler(both):
    features = describe_all(both, CAMERAS, np.arange(20), models(both, "so101"))
    return Sampler(both, features, np.arange(20), horizon=8, seed=4, batch=30, rows=400)


def test_pictures_come_from_whichever_dataset_has_them():
    parts = [np.full((n, 4, 4, 3), n, np.uint8) for n in (3, 5, 2)]
    stack = Stack(parts)
    assert stack.shape == (10, 4, 4, 3) and len(stack) == 10 and stack.dtype == np.uint8
    assert stack[np.array([9, 0, 4, 2, 3, 8])][:, 0, 0, 0].tolist() == [2, 3, 5, 3, 5, 2]
    assert stack[np.zeros(0, int)].shape == (0, 4, 4, 3)


def test_frames_are_those_of_the_parts(both):
    first, second = both.sources
    ours, theirs = both.batch(np.array([7, N + 5, N + 14]), 20), second.batch(np.array([5, 14]), 20)
    for key in theirs:
        if key not in ("episode", "aux.things_words"):
            assert torch.equal(ours[key][1:], theirs[key]), key
            assert torch.equal(ours[key][:1], first.batch(np.array([7]), 20)[key]), key
    assert ours["episode"].tolist() == [0, 12, 12] and both.episodes == 20 and len(both) == N + 8 * 15
    assert both.hash not in (first.hash, second.hash) and both.robots == ["so101"] * 12 + ["koch"] * 8


def test_names_of_things_survive(sampler, both):
    first, second = both.sources
    for episode, part in ((0, first), (12, second)):
        words = part.instructions[0].split()[2:4]
        assert " ".join(words) in sampler.things.names[episode]


def test_labels_that_one_lacks_are_nothing_there():
    bare = make_toy(8, 15, 1, "koch")
    bare = dataclasses.replace(bare, aux={k: v for k, v in bare.aux.items() if not k.startswith("things")})
    data = mix([make_toy(), bare])
    features = describe_all(data, CAMERAS, np.arange(20), models(data, "so101"))
    names = Sampler(data, features, np.arange(20), 8, 0, 4, 4).things.names
    assert all(names[0]) and names[12] == ["", ""]


def test_some_of_each_dataset_is_held_out(both):
    train, held = both.split(0.25, 3)
    assert sorted([*train, *held]) == list(range(20))
    assert (held < 12).sum() == 3 and (held >= 12).sum() == 2
    assert np.array_equal(train[train < 12], both.sources[0].split(0.25, 3)[0])


def test_features_are_of_every_arm_by_itself(sampler, both):
    koch, so = sampler.features.arms
    assert (koch.name, so.name) == ("koch", "so101") and sampler.features.builds == (koch, so)
    alone = describe_all(both.sources[1], CAMERAS, np.arange(8), models(both.sources[1], "koch"))
    assert (koch.chain, koch.q_mean, koch.views) == (alone.chain, alone.q_mean, alone.views)
    assert koch.chain != so.chain and koch.views[0] != so.views[0]


def test_each_sample_has_its_arm_and_its_arms_tool_places(sampler):
    frames, rows = sampler.step(0)
    for batch in (frames, rows):
        assert batch["arm"].dtype == torch.int64
        assert torch.equal(batch["arm"], (batch["index"] < N).long())
        for number, arm in enumerate(sampler.features.arms):
            mine = batch["arm"] == number
            assert torch.allclose(batch["tool"][mine], Chain(arm.chain)(batch["action"][mine])[1], atol=1e-6)


def test_an_arm_is_drawn_as_often_as_it_has_frames(sampler):
    drawn = torch.cat([sampler.step(k)[1]["arm"] for k in range(20)])
    assert float((drawn == 0).float().mean()) == pytest.approx(120 / 360, abs=0.02)


def test_two_datasets_of_one_arm_are_as_one(toy):
    data = mix([toy, make_toy(4, seed=1)])
    features = describe_all(data, CAMERAS, np.arange(16), models(data, "so101"))
    assert features.arms == () and "arm" not in Sampler(data, features, np.arange(16), 8, 0, 4, 4).step(0)[0]
    assert mix([toy]) is toy


@pytest.mark.parametrize(("change", "words"), [
    (lambda d: {"fps": 30.0}, "a rate of 30.0, toy 10.0"),
    (lambda d: {"joint_names": wx250s.wx250s().names}, "joints waist, .*toy shoulder_pan"),
    (lambda d: {"images": {k: v[:, :16, :16] for k, v in d.images.items()}}, "pictures of 16x16, 16x16 px, toy 32x32"),
    (lambda d: {"aux": {k: np.repeat(v, 2, 1) if k.startswith("things") else v for k, v in d.aux.items()}},
     "things_px of 4, toy 2"),
])
def test_datasets_that_no_one_network_fits_are_refused(toy, change, words):
    with pytest.raises(DataError, match=words) as error:
        mix([toy, dataclasses.replace(toy, **change(toy))])
    assert "\n" not in str(error.value)


def test_the_model_of_one_arm_is_the_one_that_was_given(toy):
    assert models(toy, "so101") == {"so101": so101.so101()}
    other = dataclasses.replace(toy, robots=["so101_follower"] * 12)
    assert models(other, "so101") == {"so101_follower": so101.so101()}
    with pytest.raises(DataError, match="of the arm so101, not model=koch; give model=so101"):
        models(toy, "koch")


def test_an_arm_that_nobody_knows_is_named(toy):
    with pytest.raises(DataError, match=r"toy is of the arm 'mine'; data of several arms .*: .*koch, .*so101"):
        models(mix([toy, make_toy(robot="mine")]), "so101")
