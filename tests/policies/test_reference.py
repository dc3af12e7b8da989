"""A camera that was pushed aside is set right by where it sees the tool."""

import math

import numpy as np
import pytest
import torch

from policies import train
from policies.reference import FAR, Reference, shifts, told
from policies.views import View, fit
from robot.errors import DataError
from tests.policies.test_train import settings
from tests.policies.test_views import camera


def turned(places, eye, by):
    """Pixels of a camera as `camera` has it, turned about the vertical and tilted by angles `by`, rad."""
    look = np.array([[0.0, -1.0, 0.0], [-0.8, 0.0, -0.6], [0.6, 0.0, -0.8]])
    c, s, t, u = math.cos(by[0]), math.sin(by[0]), math.cos(by[1]), math.sin(by[1])
    look = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[1, 0, 0], [0, t, -u], [0, u, t]]) @ look
    seen = (places - eye) @ look.T
    return 0.5 + 1.1 * seen[:, :2] / seen[:, 2:]


@pytest.mark.parametrize("by", [(0.0, 0.0), (0.03, 0.0), (0.0, -0.04), (-0.03, 0.03)])
def test_what_is_near_the_tool_is_found_again_by_a_camera_that_was_turned(by):
    rng = np.random.default_rng(0)
    eye, places, pixels = camera(rng)
    view = View(fit(places, pixels)[0], False)
    tips = places + rng.normal(size=places.shape) * 0.01
    uv, tool = (torch.tensor(turned(p, eye, by), dtype=torch.float32) for p in (places, tips))
    level = torch.tensor(places[:, 2:], dtype=torch.float32)
    still = torch.eye(3).expand(200, 3, 3), torch.zeros(200, 3)
    expected = view.project(torch.tensor(tips, dtype=torch.float32), *still)
    off = shifts({"front": tool}, {"front": torch.ones(200)}, {"front": expected})["front"]
    truth = torch.tensor(places, dtype=torch.float32)
    before = (view(uv, level, *still) - truth).norm(dim=-1).median()
    after = (view(uv - off[:, :2], level, *still) - truth).norm(dim=-1).median()
    assert after < 0.002
    assert by == (0.0, 0.0) or before > 0.01


def test_a_camera_sees_a_place_where_its_rays_say():
    _, places, pixels = camera(np.random.default_rng(1))
    view = View(fit(places, pixels)[0], False)
    still = torch.eye(3).expand(200, 3, 3), torch.zeros(200, 3)
    seen = view.project(torch.tensor(places, dtype=torch.float32), *still)
    assert torch.allclose(seen, torch.tensor(pixels, dtype=torch.float32), atol=1e-4)


def test_a_tool_that_is_not_seen_or_seen_far_away_moves_nothing():
    uv = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.5 + 1.1 * FAR, 0.5]])
    off = shifts({"front": uv}, {"front": torch.tensor([0.9, 0.1, 0.9])}, {"front": torch.full((3, 2), 0.45)})["front"]
    assert torch.allclose(off, torch.tensor([[0.05, 0.05, 1.0], [0.0, 0.0, -1.0], [0.0, 0.0, -1.0]]))
    assert torch.allclose(told(off)[0], torch.tensor([0.5, 0.5, 1.0]))


def test_the_tool_is_found_at_the_peak_of_its_map():
    eye = Reference(2, 3)
    with torch.no_grad():
        eye.map.weight.copy_(torch.tensor([1.0, 0.0]).view(1, 2, 1, 1))
    features = torch.zeros(1, 2, 8, 8)
    features[0, 0, 2, 5] = 20.0
    mark = eye(features, torch.zeros(1, 3))
    assert torch.allclose(mark.uv, torch.tensor([[5.5 / 8, 2.5 / 8]]), atol=1e-3)
    assert mark.heat.shape == (1, 8, 8) and mark.seen.shape == (1,)


def test_still_cameras_and_carried_ones_are_set_right_as_asked(tmp_path, toy):
    run = train.prepare(settings(tmp_path / "run"), toy)
    features = run.policy.features
    still = [c for c, carried in zip(features.cameras, features.carried) if not carried]
    carried = [c for c in features.cameras if c not in still]
    assert list(run.policy.tool) == still + carried
    assert run.policy.needs == {f"tool_px.{c}": f"policy.recalibrate{'_carried' * (c in carried)}=false"
                                for c in still + carried}
    for option, left in (("recalibrate", carried), ("recalibrate_carried", still)):
        assert list(train.prepare(settings(tmp_path / option, f"policy.{option}=false"), toy).policy.tool) == left


def test_data_without_the_tool_in_the_picture_are_refused(tmp_path, toy):
    del toy.aux["tool_px.front"]
    with pytest.raises(DataError, match=r"no column aux.tool_px.front, .*with policy.recalibrate=false$"):
        train.prepare(settings(tmp_path / "run"), toy)
    del toy.aux["tool_px.wrist"]
    with pytest.raises(DataError, match=r"with policy.recalibrate=false$"):  # once: both of the toy's stand still
        train.prepare(settings(tmp_path / "run"), toy)
    assert not (tmp_path / "run").exists()
