"""One policy on two arms: trained together, stored, and run on either."""

import contextlib
import copy
import dataclasses
import json

import numpy as np
import pytest
import torch

from policies import checkpoint, train
from policies.mixture import mix
from policies.team import Team
from robot import registry
from robot.errors import DataError
from robot.interfaces import ArmState, Frame, Observation
from tests.policies.conftest import make_toy
from tests.policies.test_train import complete, settings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run on both arms' data."""
    data = mix([make_toy(), make_toy(8, 15, 1, "koch")])
    folder = tmp_path_factory.mktemp("several") / "run"
    return folder, complete(settings(folder), data), data


def observation():
    zero, rgb = np.zeros(6), np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    state = ArmState(0.0, np.linspace(-0.5, 0.5, 6), *(zero,) * 5, np.zeros(6, np.int64), zero)
    return Observation(0.0, state, {c: Frame(0.0, rgb) for c in ("front", "wrist")})


def test_the_card_lists_every_dataset_and_errors_are_each_arm_s_too(made):
    folder, _, data = made
    card = json.loads((folder / "run.json").read_text())
    assert card["data"]["hash"] == data.hash and card["data"]["frames"] == len(data)
    assert [(d["hash"], d["arms"]) for d in card["data"]["datasets"]] == [("toy-0", ["so101"]), ("toy-1", ["koch"])]
    assert {"target_mm", "koch.target_mm", "so101.chunk_mrad", "koch.held"} <= set(card["validation"])


def test_a_checkpoint_runs_on_each_of_its_arms(made):
    folder, run, _ = made
    answers = []
    for number, name in enumerate(("koch", "so101")):
        policy = checkpoint.load(str(folder), name)
        policy.reset("put the red block on the pad")
        assert policy.arm == number and policy.features == run.policy.features
        answers.append(policy.act(observation()).q)
        inputs = policy.inputs(observation())
        with torch.no_grad():
            as_told = policy.predict({**inputs, "arm": torch.tensor([number])})[0][0]
        assert np.allclose(answers[-1], as_told.numpy(), atol=1e-5)
    assert not np.allclose(*answers, atol=1e-3)


def test_an_arm_that_it_was_not_trained_on_is_refused(made):
    folder, _, _ = made
    with pytest.raises(DataError, match="this arm has waist") as error:
        checkpoint.load(str(folder), "wx250s")
    assert "\n" not in str(error.value)
    features = checkpoint.load(str(folder)).features
    features = dataclasses.replace(features, arms=tuple(a for a in features.arms if a.name != "koch"))
    with pytest.raises(DataError, match=r"another arm than model=koch: their links differ; .* \(so101\)"):
        features.fits(registry.build("model", "koch"))


def test_it_does_not_move_before_it_knows_which_arm_it_is_on(made):
    with pytest.raises(DataError, match="trained on koch, so101; load it with the model="):
        checkpoint.load(str(made[0])).act(observation())


def test_samples_of_both_arms_are_measured_as_each_alone(made):
    _, run, _ = made
    batch = run.training.gather(np.array([3, 250, 40, 300, 333]))
    run.policy.eval()
    with torch.no_grad():
        together = run.policy.measure(batch)
        alone = [run.policy.measure({k: v[i : i + 1] for k, v in batch.items()}) for i in range(5)]
    for name, values in together.items():
        parts = torch.cat([one[name] for one in alone])
        assert torch.allclose(values, parts, rtol=1e-3, atol=1e-2, equal_nan=True), name


def test_shares_of_a_batch_keep_their_arms(made):
    _, run, _ = made
    frames, rows = run.training.step(0)
    losses = Team(2, 4).learn(run.policy, frames, rows, 0)
    assert all(bool(torch.isfinite(v)) for v in losses.values())


def test_everything_is_reckoned_on_the_policys_own_device(made, monkeypatch):
    """A tensor that is left on the CPU does not go together with others of the meta device."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kw: contextlib.nullcontext())
    _, run, _ = made
    policy = copy.deepcopy(run.policy).to("meta")
    frames, rows = ({k: v.to("meta") for k, v in part.items()} for part in run.training.step(0))
    assert {v.device.type for v in policy.measure(frames).values()} == {"meta"}
    assert {v.device.type for v in policy._row_losses(rows, None).values()} == {"meta"}
    policy.arm = 1
    assert policy.measure({k: v for k, v in frames.items() if k != "arm"})["target_mm"].device.type == "meta"


def test_a_run_resumes_and_begins_only_where_arms_are_the_same(made, tmp_path, toy):
    folder, _, data = made
    again = train.prepare(settings(tmp_path / "again", f"init={folder}"), data)
    old = checkpoint.load(str(folder)).state_dict()
    assert all(torch.equal(v, again.policy.state_dict()[k]) for k, v in old.items())
    train.train_step(again)
    again.budget.advance(0.1)
    train._store(again)
    resumed = train.prepare(settings(tmp_path / "again", f"init={folder}", "resume=true"), data)
    assert resumed.budget.step == 1
    with pytest.raises(DataError, match="trained on the arms koch, so101, this dataset is of one arm"):
        train.prepare(settings(tmp_path / "one", f"init={folder}"), toy)
    complete(settings(tmp_path / "alone"), toy)
    with pytest.raises(DataError, match="trained on one arm, this dataset is of the arms koch, so101"):
        train.prepare(settings(tmp_path / "two", f"init={tmp_path / 'alone'}"), data)


def test_rollouts_are_on_the_model_that_was_given(made, tmp_path):
    _, _, data = made
    run = train.prepare(settings(tmp_path / "a", "rollouts_every=1", "model=koch"), data)
    assert run.policy.arm == 0
    with pytest.raises(DataError, match="this arm has waist"):
        train.prepare(settings(tmp_path / "b", "rollouts_every=1", "model=wx250s"), data)


def test_a_policy_of_one_arm_is_stored_as_it_always_was(toy, tmp_path):
    run = train.prepare(settings(tmp_path / "run"), toy)
    assert "arms" not in run.policy.features.to_json() and run.policy.arm == 0
    assert run.policy.q_mean.shape == (6,) and run.policy.body(run.policy.q_mean[None], 0)[0].shape == (1, 30)


@pytest.mark.parametrize("choice", ["policy.action=absolute", "policy.loss=l2", "policy.loss=flow"])
def test_every_way_to_plan_a_chunk_knows_of_arms(made, tmp_path, choice):
    run = complete(settings(tmp_path / "run", choice), made[2])
    samples, answers = run.training.gather(np.array([3, 250, 40])), []
    run.policy.eval()
    with torch.no_grad():
        together = run.policy.infer(samples)[0]
        for k, number in enumerate(samples["arm"].tolist()):
            run.policy.arm = number
            alone = {name: v[k : k + 1] for name, v in samples.items() if name != "arm"}
            answers.append(run.policy.infer(alone)[0])
    assert torch.allclose(together, torch.cat(answers, 1), rtol=1e-3, atol=1e-4)
