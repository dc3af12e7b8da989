import dataclasses
import json

import pytest
import torch

from policies import checkpoint, finetune, train
from policies.kinematics import read_chain
from robot.arms.koch import koch
from robot.errors import DataError
from tests.policies.test_train import complete, settings


@pytest.fixture
def first(tmp_path, toy):
    complete(settings(tmp_path / "first"), toy)
    return tmp_path / "first"


def renamed(data, word="turquoise"):
    """The same data, every instruction with a word that it never had."""
    return dataclasses.replace(data, instructions=[f"{text} {word}" for text in data.instructions])


def test_a_run_begins_with_the_weights_of_its_checkpoint_and_learns_on(tmp_path, toy, first):
    old, config = checkpoint.load(str(first)), settings(tmp_path / "next", f"init={first}", "seed=3")
    run = train.prepare(config, toy)
    assert all(torch.equal(v, run.policy.state_dict()[k]) for k, v in old.state_dict().items())
    train.train_step(run)
    assert any(not torch.equal(v, run.policy.state_dict()[k]) for k, v in old.state_dict().items())


def test_new_words_come_after_the_old_ones(tmp_path, toy, first):
    old = checkpoint.load(str(first))
    run = complete(settings(tmp_path / "next", f"init={first}"), renamed(toy))
    assert run.policy.features.words == (*old.features.words, "turquoise")
    again = checkpoint.load(str(tmp_path / "next"))
    assert again.features.encode("turquoise")[0] == len(old.features.words)
    assert json.loads((tmp_path / "next/run.json").read_text())["config"]["init"] == str(first)


def test_an_old_word_keeps_its_meaning_beside_new_ones(tmp_path, toy, first):
    old, run = checkpoint.load(str(first)), train.prepare(settings(tmp_path / "n", f"init={first}"), renamed(toy))
    text, mine = toy.instructions[0], run.policy.eval()
    for policy in (old, mine):
        policy.reset(text)
    assert all(torch.equal(a, b) for a, b in zip(old._heard.values(), mine._heard.values()))


@pytest.mark.parametrize(("before", "now", "known"), [
    (None, (), True), (None, ("red",), False),  # an older checkpoint does not say
    ((), ("red",), True), (("red",), ("red",), False), (("red",), (), True),
])
def test_a_word_that_was_not_rare_once_is_known(first, before, now, known):
    features = checkpoint.load(str(first)).features
    old, new = (dataclasses.replace(features, words=("<pad>", "<unk>", "put", "red"), rare=r) for r in (before, now))
    wide = finetune.widen(old, dataclasses.replace(new, words=(*new.words, "teal"), rare=(*now, "teal")))
    assert ("red" not in wide.rare) == known and "put" not in wide.rare and "teal" in wide.rare
    assert wide.words[:4] == old.words
    gone = finetune.widen(old, dataclasses.replace(new, words=("<pad>", "<unk>", "put"), rare=()))
    assert ("red" in gone.rare) == ("red" in (before or ()))


def test_a_resumed_run_does_not_begin_anew(tmp_path, toy, first):
    config = settings(tmp_path / "next", f"init={first}")
    run = train.prepare(config, toy)
    train.train_step(run)
    run.budget.advance(0.1)
    train._store(run)
    again = train.prepare({**config, "resume": True}, toy)
    assert again.budget.step == 1
    assert all(torch.equal(v, again.policy.state_dict()[k]) for k, v in run.policy.state_dict().items())


@pytest.mark.parametrize(("wrong", "words"), [
    ({"joints": ("a", "b")}, "joints a, b"), ({"fps": 30.0}, "rate 30.0"), ({"size": 64}, "pictures 64"),
    ({"chain": read_chain(koch().urdf, koch().names, koch().tcp)}, "an arm with other links"),
])
def test_another_arm_or_rate_is_refused(toy, first, wrong, words):
    features = checkpoint.load(str(first)).features
    with pytest.raises(DataError, match=words):
        finetune.widen(dataclasses.replace(features, **wrong), features)


def test_parts_that_the_checkpoint_has_not_are_added(tmp_path, toy):
    complete(settings(tmp_path / "plain", "policy.match=0"), toy)
    old, run = checkpoint.load(str(tmp_path / "plain")), train.prepare(
        settings(tmp_path / "more", f"init={tmp_path / 'plain'}", "policy.match=6"), toy)
    mine = run.policy.state_dict()
    assert all(torch.equal(v, mine[k]) for k, v in old.state_dict().items())
    assert {k.split(".")[0] for k in mine.keys() - old.state_dict().keys()} == {"names", "eyes"}
    with pytest.raises(DataError, match=r"built differently .*match=6"):
        finetune.graft(old, run.policy)


def test_inputs_that_the_checkpoint_has_not_count_for_nothing_at_first(tmp_path, toy):
    complete(settings(tmp_path / "plain", "policy.recalibrate=false", "policy.recalibrate_carried=false",
                      "policy.triangulate=false"), toy)
    old = checkpoint.load(str(tmp_path / "plain"))
    mine = train.prepare(settings(tmp_path / "more", f"init={tmp_path / 'plain'}"), toy).policy.state_dict()
    given = {f"place.{thing}.first.weight" for thing in ("target", "goal")}
    for name in given:
        was = old.state_dict()[name]
        assert torch.equal(mine[name][:, : was.shape[1]], was) and not mine[name][:, was.shape[1] :].any()


def test_another_architecture_is_refused_with_the_arguments_to_give(tmp_path, toy, first):
    with pytest.raises(DataError, match=r"width=8"):
        train.prepare(settings(tmp_path / "next", f"init={first}", "policy.width=16"), toy)
    with pytest.raises(DataError, match="no checkpoint in nowhere"):
        train.prepare(settings(tmp_path / "other", "init=nowhere"), toy)
    assert not (tmp_path / "next").exists()


@pytest.mark.parametrize(("other", "words"), [
    ("policy.action=absolute", r"built differently \(action=delta, loss=l1 or l2\); .*action=delta, loss=l1"),
    ("policy.loss=flow", r"built differently \(action=delta, loss=l1 or l2\); .*loss=l1"),
])
def test_chunks_that_mean_something_else_are_refused(tmp_path, toy, first, other, words):
    with pytest.raises(DataError, match=words) as error:
        train.prepare(settings(tmp_path / "next", f"init={first}", other), toy)
    assert "\n" not in str(error.value) and not (tmp_path / "next").exists()


def test_another_measure_of_the_same_chunks_goes_on(tmp_path, toy, first):
    old, run = checkpoint.load(str(first)), train.prepare(
        settings(tmp_path / "next", f"init={first}", "policy.loss=l2"), toy)
    assert all(torch.equal(v, run.policy.state_dict()[k]) for k, v in old.state_dict().items())
