import json

import numpy as np
import pytest

from policies import evaluate, grid, statistics
from policies.rollout import Outcome, rollout
from policies.statistics import wilson
from robot import config as configs
from robot import output, registry
from robot.arms.so101 import so101
from robot.clock import SimClock
from robot.errors import ConfigError, DataError
from robot.interfaces import ArmState, Chunk, Frame
from tests.policies.test_foreign import Still

J, DT = 6, 0.1


class StillLife:
    """A world without physics: joints stand where they were last sent; done when the first reaches `goal`."""

    def __init__(self):
        self.spec = so101().spec
        self.clock = SimClock()
        self.goal = 0.0

    @property
    def arm(self):
        return self

    @property
    def cameras(self):
        return {"front": self.Eye(self), "wrist": self.Eye(self)}

    class Eye:
        def __init__(self, world):
            self.world = world

        def read(self, max_age):
            shade = int(100 + 50 * self.world.q[0])
            return Frame(self.world.clock.now(), np.full((32, 32, 3), shade, np.uint8))

    def reset(self, seed):
        self.clock.restart()
        self.q = self.spec.home.copy()
        self.goal = np.random.default_rng(seed).uniform(0.3, 0.8)
        return f"turn to {self.goal:.2f}"

    def open(self): ...
    def engage(self): ...
    def relax(self): ...
    def close(self): ...

    def read(self):
        zero = np.zeros(J)
        return ArmState(self.clock.now(), self.q.copy(), zero, zero, zero, zero + 30, zero + 7,
                        np.zeros(J, np.int64), zero)

    def command(self, q):
        self.q = np.array(q)
        return self.q

    def success(self):
        return abs(self.q[0] - self.goal) < 0.02

    def progress(self):
        return float(np.clip(1 - abs(self.q[0] - self.goal), 0, 1))


class Turner:
    """Turns the first joint at 0.5 rad/s towards what it was told, up to `most`."""

    def __init__(self, most=np.inf):
        self.most = most

    def reset(self, instruction):
        self.aim = min(float(instruction.split()[-1]), self.most)

    def act(self, obs):
        rows = np.repeat(obs.state.q[None], 8, 0)
        rows[:, 0] += np.clip(self.aim - rows[:, 0], -0.05, 0.05) * np.arange(1, 9)
        rows[:, 0] = np.minimum(rows[:, 0], self.aim)
        return Chunk(obs.stamp + DT, DT, rows, info={"heatmap.front": np.eye(8)[None].repeat(2, 0)})


def test_an_episode_ends_when_the_world_says_so():
    outcome, film = rollout(StillLife(), Turner(), 0, 5, seconds=6.0)
    assert outcome.success and outcome.ended == "done" and film is None
    assert 0.3 < outcome.seconds < 4.0 and outcome.progress > 0.97


def test_an_episode_that_falls_short_says_how_far_it_came():
    outcome, _ = rollout(StillLife(), Turner(most=0.1), 0, 5, seconds=2.0)
    assert not outcome.success and outcome.ended == "timeout" and outcome.seconds == pytest.approx(2.0, abs=0.1)
    assert 0.2 < outcome.progress < 0.9


def test_a_filmed_episode_becomes_a_video_and_a_strip(tmp_path):
    av = pytest.importorskip("av")
    from policies.film import write_strip, write_video

    _, film = rollout(StillLife(), Turner(), 0, 5, seconds=6.0, film=True)
    assert len(film.frames["front"]) > 5
    with av.open(str(write_video(film, tmp_path / "a.mp4"))) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(film.frames["front"])
    assert write_strip(film, tmp_path / "a.png").stat().st_size > 1000


def test_evaluation_scenes_are_beyond_those_of_training():
    seeds = {evaluate.scene_seed(s, k) for s in range(3) for k in range(1000)}
    assert len(seeds) == 3000 and min(seeds) >= evaluate.FIRST_SEED


def outcome(k, success, wrong=False):
    return Outcome(k, k, "x", success, 0.5, 4.0, wrong, "done", 5.0, 6.0, ())


def test_results_carry_their_uncertainty():
    results = statistics.summarize([outcome(k, k < 8, k == 9) for k in range(10)])
    assert results["success_rate"] == 0.8 and results["wrong_object_rate"] == 0.1
    assert results["interval"] == pytest.approx([0.4902, 0.9433], abs=1e-3)  # Wilson, 8 of 10
    json.dumps(results)


@pytest.mark.parametrize(("good", "n", "low", "high"), [
    (0, 0, 0.0, 1.0), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0), (45, 50, 0.7864, 0.9565)])
def test_wilson_agrees_with_published_values(good, n, low, high):
    assert wilson(good, n) == pytest.approx((low, high), abs=1e-3)


def test_an_interrupted_log_loses_only_its_broken_line(tmp_path):
    path = tmp_path / "episodes.jsonl"
    lines = [json.dumps(outcome(k, True).to_json()) for k in range(3)]
    path.write_text("\n".join(lines[:2]) + "\n" + lines[2][:20])
    assert [o.episode for o in evaluate.read(path)] == [0, 1]
    assert path.read_text() == "\n".join(lines[:2]) + "\n"


def test_an_evaluation_of_other_settings_is_not_gone_on_with(tmp_path):
    out = tmp_path / "run"
    before = configs.resolve("evaluate", [f"out={out}", "seed=1"])
    output.claim(out, "evaluate", before)
    (out / evaluate.EPISODES).write_text(json.dumps(outcome(0, True).to_json()) + "\n")
    with pytest.raises(DataError, match="had seed=1, not 2"):
        evaluate.main({**before, "seed": 2, "resume": True})
    assert not (out / grid.RESULTS).exists()


class Statue:
    """Another policy that holds still."""

    def reset(self, instruction):
        self.asked = instruction

    def act(self, obs):
        return Chunk(obs.stamp + DT, DT, np.repeat(obs.state.q[None], 4, 0))


def evaluated(tmp_path, *more):
    config = configs.resolve("evaluate", [
        f"checkpoints=[{__name__}:Statue,{__name__}:Still]", f"out={tmp_path / 'run'}", "episodes=2", "seconds=1",
        "task=reach", "world.size=32", "workers=1", "videos=0", *more])
    assert evaluate.main(config) == 0
    return evaluate.read(tmp_path / "run" / "episodes.jsonl")


def test_several_checkpoints_meet_the_same_scenes_and_resume(tmp_path):
    outcomes = evaluated(tmp_path)
    assert [o.checkpoint.split(":")[1] for o in outcomes] == ["Statue", "Statue", "Still", "Still"]
    assert [(o.seed, o.instruction) for o in outcomes[:2]] == [(o.seed, o.instruction) for o in outcomes[2:]]
    log = tmp_path / "run" / "episodes.jsonl"
    log.write_text("".join(log.read_text().splitlines(True)[:3]))
    again = evaluated(tmp_path, "resume=true", "workers=2")
    assert [o.progress for o in again] == [o.progress for o in outcomes]
    with pytest.raises(DataError, match="had task="):
        evaluated(tmp_path, "resume=true", "task=stack")
    with pytest.raises(ConfigError, match="names one twice"):
        grid.checkpoints({"checkpoints": ["a", "a"]})


def test_a_twin_is_the_same_scene_with_another_thing_asked_for():
    world = registry.assemble(configs.resolve("evaluate", ["task=pick_place", "world.size=32"]), "world")
    one, _ = rollout(world, Still(), 0, 5, seconds=0.3)
    other, _ = rollout(world, Still(), 0, 5, seconds=0.3, twin=1)
    assert one.instruction != other.instruction and one.seed == other.seed
