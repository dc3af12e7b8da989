import numpy as np
import pytest
import torch

from policies import sight
from policies.elsewhere import turned
from policies.features import Build
from policies.sight import Body, Place, Sight
from policies.views import SHIFT, TURN, ZOOM

FOCAL, EYE = 1.1, np.array([-0.1, 0.02, 0.5])
AHEAD = np.array([[0.0, -1.0, 0.0], [-0.8, 0.0, -0.6], [0.6, 0.0, -0.8]])


def matrix(eye, turn, focal):
    """The projection of a pinhole at `eye` that sees along the third row of `turn`."""
    inner = np.array([[focal, 0.0, 0.5], [0.0, focal, 0.5], [0.0, 0.0, 1.0]])
    return tuple((inner @ np.c_[turn, -turn @ eye]).flat)


FRONT = matrix(EYE, AHEAD, FOCAL)
WRIST = matrix(np.array([0.03, 0.0, 0.05]), np.diag([1.0, -1.0, -1.0]), 0.7)
BUILD = Build("", (0.0,), (1.0,), (), (FRONT, WRIST), (False, True))


@pytest.fixture(params=[False, True])
def eyes(request):
    return Sight(("front", "wrist"), (BUILD,), request.param)


def scene(eyes, n=40, seed=0):
    """Places (n, 3) m, what both cameras see of them, one at a time, and the arm above them."""
    rng = np.random.default_rng(seed)
    xyz = torch.tensor(np.c_[rng.uniform(0.15, 0.3, n), rng.uniform(-0.1, 0.1, n), rng.uniform(0, 0.05, n)]).float()
    body = Body(torch.zeros(n, 2), torch.eye(3).expand(n, 3, 3), xyz + torch.tensor([0.0, 0.02, 0.15]))
    return xyz, [view.project(0, xyz, body.turn, body.tip)[:, None] for view in eyes.named().values()], body


def test_what_is_not_seen_is_nothing(eyes):
    _, uv, _ = scene(eyes, 3)
    sure = [torch.tensor([[0.9], [0.9], [0.1]]), torch.tensor([[0.2], [0.8], [0.9]])]
    px = eyes.pixels(uv, sure)[:, 0]
    assert torch.allclose(px[0, :2] / 2 + 0.5, uv[0][0, 0]) and px[0, 2] == 1
    assert px[0, 3:].tolist() == [0, 0, -1] and px[2, :3].tolist() == [0, 0, -1]
    assert torch.allclose(px[1, 3:5] / 2 + 0.5, uv[1][1, 0]) and px[1, 5] == 1


def pushed(eyes, xyz, body, camera, spin, shift, zoom):
    """What a camera sees of places when turned by `spin` (n, 3) rad, shifted by `shift` (n, 3) m and zoomed by `zoom`
    (n, 1), and how far its tool is off."""
    view, turn, tip = eyes.named()[camera], body.turn, body.tip
    there, tool = (turned(view.project(0, place + shift, turn, tip), view.focal(0), spin, zoom) for place in (xyz, tip))
    return there[:, None], torch.cat([tool - view.project(0, tip, turn, tip), torch.ones(len(xyz), 1)], -1)


@pytest.mark.parametrize("camera", ["front", "wrist"])
def test_a_camera_that_was_moved_is_set_right_by_the_tool(eyes, camera):
    xyz, uv, body = scene(eyes, 400)
    k, n = eyes.cameras.index(camera), len(xyz)
    dice = torch.Generator().manual_seed(0)
    spin, shift = (by * torch.randn(n, 3, generator=dice) for by in (TURN, SHIFT))
    seen, off = pushed(eyes, xyz, body, camera, spin, shift, 1 + ZOOM * torch.randn(n, 1, generator=dice))
    both = [seen if j == k else p for j, p in enumerate(uv)]
    right = eyes.right(both, {camera: off}, body, 0)
    before, alike, after = ((p - uv[k]).norm(dim=-1).mean() for p in (seen, seen - off[:, None, :2], right[k]))
    assert after < 0.8 * before and after < 0.9 * alike  # of shifting everything as far as the tool
    assert torch.equal(right[1 - k], uv[1 - k])  # the other one is as it was
    unknown = torch.tensor([[0.0, 0.0, -1.0]]).expand(n, 3)
    assert torch.allclose(eyes.right(both, {camera: unknown}, body, 0)[k], seen)


def test_what_is_near_the_tool_is_as_far_off_as_that(eyes):
    xyz, uv, body = scene(eyes)
    close = body._replace(tip=xyz + torch.tensor([0.0, 0.0, 0.01]))
    spin, none, one = torch.tensor([[0.04, -0.03, 0.02]]).expand_as(xyz), 0 * xyz, torch.full((len(xyz), 1), 1.05)
    seen, off = pushed(eyes, xyz, close, "front", spin, none, one)
    right = eyes.right([seen, uv[1]], {"front": off}, close, 0)[0]
    assert float((right - uv[0]).norm(dim=-1).max()) < 0.15 * float((seen - uv[0]).norm(dim=-1).max())


def test_two_cameras_that_point_at_one_place_both_see_it(eyes):
    _, uv, body = scene(eyes)
    n, full = len(uv[0]), torch.full((len(uv[0]), 1), 0.9)
    low = torch.full((n, 1), 0.02)
    both = eyes.agreed(uv, [full, low], [full, full], body, 0)
    assert bool((torch.stack(both) == 1).all())
    for sure, mass, seen in (([low, low], [full, full], uv),  # neither is sure
                             ([full, low], [full, low], uv),  # the other one's map has no peak
                             ([full, low], [full, full], [uv[0], uv[1] + torch.tensor([0.0, 0.2])]),  # they miss
                             ([full, low], [full, full], [uv[0], uv[1] + torch.tensor([0.4, 0.0])])):  # deep down
        assert torch.equal(eyes.agreed(seen, sure, mass, body, 0)[1], low)


def test_a_camera_that_was_pushed_aside_agrees_once_it_is_set_right(eyes):
    _, uv, body = scene(eyes)
    full, low = torch.full((len(uv[0]), 1), 0.9), torch.full((len(uv[0]), 1), 0.1)
    xyz = scene(eyes)[0]
    spin = torch.tensor([[0.0, 0.1, 0.0]]).expand_as(xyz)
    seen, off = pushed(eyes, xyz, body, "front", spin, 0 * xyz, torch.ones(len(xyz), 1))
    aside, sure, mass = [seen, uv[1]], [full, low], [full, full]
    assert torch.equal(eyes.agreed(aside, sure, mass, body, 0)[1], low)
    assert bool((eyes.agreed(eyes.right(aside, {"front": off}, body, 0), sure, mass, body, 0)[1] == 1).all())


def test_a_place_is_a_mix_of_what_rays_say(eyes):
    xyz, uv, body = scene(eyes)
    place, sure = Place(2, 2, 0, 0, eyes.crosses), [torch.ones(len(xyz), 1)] * 2
    with torch.no_grad():
        place.last.weight.zero_()
        place.last.bias.zero_()
        place.last.bias[-1] = 30.0  # the last way there is: where rays cross, or the wrist camera's ray
        found, blind = (place.find(eyes.met(eyes.pixels(uv, some), body, 0), {}, body)[:, 0]
                        for some in (sure, [0 * s for s in sure]))
    miss, level = (found - xyz).norm(dim=-1), (xyz[:, 2] - sight.LEVEL).abs() < 1e-3
    assert float(miss.max()) < 1e-3 if eyes.crosses else float(miss[level].sum()) < 1e-2
    assert torch.allclose(blind, body.tip)  # nothing is seen: it can only be said where the tool is


def test_things_are_placed_together_as_one_by_one(eyes):
    _, uv, body = scene(eyes)
    place, sure = Place(2, 2, 0, 0, eyes.crosses), [torch.ones(len(body.tip), 2), torch.ones(len(body.tip), 2)]
    both = [torch.cat([p, p + 0.05], 1) for p in uv]
    sure[1][::3, 1] = 0.0
    with torch.no_grad():
        met = eyes.met(eyes.pixels(both, sure), body, 0)
        together = place.find(met, {}, body)
        for k in range(2):
            one = eyes.pixels([p[:, k : k + 1] for p in both], [s[:, k : k + 1] for s in sure])
            assert torch.allclose(place.find(eyes.met(one, body, 0), {}, body), together[:, k : k + 1], atol=1e-6)
            assert torch.allclose(place.find(met.of(slice(k, k + 1)), {}, body), together[:, k : k + 1], atol=1e-6)
