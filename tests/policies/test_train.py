import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from policies import checkpoint, run_state, train
from policies.practice import Practice
from policies.sampler import check
from robot import config as configs
from robot.errors import ConfigError, DataError
from tests.policies.test_evaluate import StillLife
from tests.policies.test_foreign import Still

SMALL = ("steps=6", "batch=4", "rows=16", "policy.width=8", "policy.hidden=16", "policy.heads=2", "policy.fine=1",
         "policy.coarse=1", "validate_every=3", "save_every=2", "threads=1")


def settings(out, *more):
    return configs.resolve("train", ["data=toy", f"out={out}", *SMALL, *more])


def quiet():
    return Console(quiet=True)


def complete(config, data):
    run = train.prepare(config, data)
    train._finish(run, data, train.loop(run, quiet()))
    return run


def test_a_run_leaves_a_checkpoint_a_curve_and_a_card(tmp_path, toy):
    run = complete(settings(tmp_path / "run"), toy)
    card = json.loads((tmp_path / "run/run.json").read_text())
    assert card["data"]["hash"] == toy.hash and card["steps"] == 6 and card["seed"] == 0
    assert card["parameters"] == sum(p.numel() for p in run.policy.parameters())
    assert {"target_mm", "chunk_mrad"} <= set(card["validation"])
    assert [e["step"] for e in run.curve.read() if "loss" in e] == [6]
    assert checkpoint.load(str(tmp_path / "run")).features == run.policy.features
    assert not (tmp_path / "run" / run_state.STATE).exists()


def test_small_numbers_are_there_again_after_training(tmp_path, toy):
    complete(settings(tmp_path / "run"), toy)
    assert float(torch.tensor(1e-310, dtype=torch.float64) * 1.0) > 0.0


def test_the_same_seed_gives_the_same_weights(tmp_path, toy):
    one, two, other = (complete(settings(tmp_path / name, f"seed={seed}"), toy).average.weights
                       for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_batches_made_ahead_change_nothing(tmp_path, toy):
    one, two = (complete(settings(tmp_path / name, f"loaders={count}"), toy).average.weights
                for name, count in (("a", 0), ("b", 2)))
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_a_gpu_has_its_batches_made_ahead():
    assert train.loaders(-1, torch.device("cuda")) == 4 and train.loaders(-1, torch.device("cpu")) == 0
    with pytest.raises(ConfigError, match="loaders=-2 must be at least 0"):
        train.loaders(-2, torch.device("cpu"))


def test_without_a_team_a_step_learns_too(tmp_path, toy):
    """As on a GPU or in several processes, where accelerate has the gradients summed."""
    config = settings(tmp_path / "run")
    run = dataclasses.replace(train.prepare(config, toy), team=None)
    before = {k: v.clone() for k, v in run.policy.state_dict().items()}
    losses = train.train_step(run)
    assert all(np.isfinite(v) for v in losses.values())
    assert any(not torch.equal(v, before[k]) for k, v in run.policy.state_dict().items())


@pytest.mark.parametrize("team", [True, False])
def test_a_loss_that_is_not_finite_is_named(tmp_path, toy, team):
    run = train.prepare(settings(tmp_path / "run"), toy)
    run = run if team else dataclasses.replace(run, team=None)
    with torch.no_grad():
        run.policy.maps["front"].bias.fill_(float("nan"))
    with pytest.raises(DataError, match="the loss 'heat' is not finite at step 0; lower learning_rate"):
        train.train_step(run)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from conftest import make_toy
from policies import train
from robot import config
from rich.console import Console
run = train.prepare(config.resolve("train", sys.argv[2:]), make_toy())
note = train._note
def deadly(run, board, entry):
    note(run, board, entry)
    if entry["step"] >= 3:
        os.kill(os.getpid(), signal.SIGKILL)
train._note = deadly
train.loop(run, Console(quiet=True))
"""


def test_a_killed_run_resumes_to_the_same_weights(tmp_path, toy):
    whole = complete(settings(tmp_path / "whole"), toy).average.weights
    out = tmp_path / "killed"
    here = str(Path(__file__).parent)
    child = subprocess.run([sys.executable, "-c", KILLED, here, "data=toy", f"out={out}", *SMALL],
                           env={**os.environ, "PYTHONPATH": os.getcwd()}, check=False)
    assert child.returncode == -signal.SIGKILL
    assert not (out / "run.json").exists()
    resumed = complete(settings(out, "resume=true"), toy)
    assert all(torch.equal(whole[k], resumed.average.weights[k]) for k in whole)
    assert load_file(out / "model.safetensors").keys() == whole.keys()
    assert [e["step"] for e in resumed.curve.read() if "val.target_mm" in e] == [3, 6]


def test_resume_refuses_other_settings_and_finished_runs(tmp_path, toy):
    complete(settings(tmp_path / "run"), toy)
    with pytest.raises(DataError, match="complete"):
        train.prepare(settings(tmp_path / "run", "resume=true"), toy)
    (tmp_path / "run/run.json").unlink()
    with pytest.raises(DataError, match="batch=4, not 5"):
        train.prepare(settings(tmp_path / "run", "resume=true", "batch=5"), toy)
    with pytest.raises(DataError, match="no run to resume"):
        train.prepare(settings(tmp_path / "nothing", "resume=true"), toy)


def test_an_occupied_folder_is_refused(tmp_path, toy):
    complete(settings(tmp_path / "run"), toy)
    with pytest.raises(DataError, match="already holds a run"):
        train.prepare(settings(tmp_path / "run"), toy)


def spoil(toy, **columns):
    aux = {**toy.aux, **{k: v for k, v in columns.items() if k in toy.aux}}
    rest = {k: v for k, v in columns.items() if k not in toy.aux}
    return dataclasses.replace(toy, aux={k: v for k, v in aux.items() if v is not None}, **rest)


def with_nan(array, row):
    out = array.copy()
    out[row] = np.nan
    return out


@pytest.mark.parametrize(("change", "words"), [
    (lambda d: {"state": with_nan(d.state, 25)}, "observation.state is not finite at frame 25 of episode 1"),
    (lambda d: {"state": d.state * 57.3}, "observation.state reaches .* must be radians"),
    (lambda d: {"action": d.action * 57.3}, "action reaches .* must be radians"),
    (lambda d: {"action": d.action[:, :5]}, "has 6 values, action 5"),
    (lambda d: {"instructions": [*d.instructions[:3], " ?", *d.instructions[4:]]}, "task of episode 3 is ' [?]'"),
    (lambda d: {"target_xyz": d.aux["target_xyz"] * 1000}, "must be metres"),
    (lambda d: {"goal_xyz": None}, "no column aux.goal_xyz"),
    (lambda d: {"yaw": d.aux["yaw"][:, :1]}, "aux.yaw has 1 columns, not 2"),
    (lambda d: {"images": {k: v[:, :20] for k, v in d.images.items()}}, "must be square"),
])
def test_bad_data_is_refused_before_training(toy, change, words):
    with pytest.raises(DataError, match=words):
        check(spoil(toy, **change(toy)), ("front", "wrist"))


def test_rollouts_on_the_way_are_noted_and_change_nothing(tmp_path, toy, monkeypatch):
    monkeypatch.setattr("policies.practice.registry.assemble", lambda config, group: StillLife())
    run = complete(settings(tmp_path / "run", "rollouts_every=3", "rollouts=2", "randomization=none"), toy)
    tried = [e for e in run.curve.read() if "rollout_success" in e]
    assert [e["step"] for e in tried] == [3, 6] and all(0 <= e["rollout_progress"] <= 1 for e in tried)
    assert json.loads((tmp_path / "run/run.json").read_text())["validation"]["rollout_success"] in (0.0, 0.5, 1.0)
    plain = complete(settings(tmp_path / "plain"), toy)
    assert all(torch.equal(v, plain.average.weights[k]) for k, v in run.average.weights.items())


def test_rollouts_happen_in_the_worlds_of_the_registry():
    config = configs.resolve("train", ["data=x", "out=y", "rollouts=2", "tasks=[reach,press_button]", "world.size=32"])
    found = Practice(config).measure(Still())
    assert found["rollout_success"] == 0.0 and 0.0 <= found["rollout_progress"] < 1.0


def test_rollouts_of_unknown_tasks_are_refused(tmp_path, toy):
    with pytest.raises(ConfigError, match="no task 'juggle'"):
        train.prepare(settings(tmp_path / "a", "rollouts_every=1", "tasks=[juggle]"), toy)


def test_bad_settings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="batch=0"):
        train._open(settings(tmp_path / "a", "batch=0"))
    with pytest.raises(ConfigError, match="precision=half"):
        train.halves("half", torch.device("cpu"))
    with pytest.raises(ConfigError, match="steps= or minutes="):
        train._open(settings(tmp_path / "a", "steps=0"))


def test_a_budget_in_minutes_ends_by_time():
    budget = run_state.Budget(steps=0, seconds=10.0, warmup=0.1)
    assert budget.rate() < 0.1
    budget.advance(5.5)
    assert 0.4 < budget.rate() < 0.6 and not budget.spent
    budget.advance(10.1)
    assert budget.spent and budget.rate() == pytest.approx(0.0)
