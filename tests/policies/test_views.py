import numpy as np
import pytest
import torch

from policies.elsewhere import turned
from policies.views import SHIFT, TURN, ZOOM, View, crossing, fit


def camera(rng, n=200):
    """A pinhole half a metre up, looking down and a little ahead; places on a table and their pixels."""
    turn = np.array([[0.0, -1.0, 0.0], [-0.8, 0.0, -0.6], [0.6, 0.0, -0.8]])
    eye = np.array([-0.1, 0.02, 0.5])
    places = np.c_[rng.uniform(0.1, 0.4, n), rng.uniform(-0.2, 0.2, n), rng.uniform(0.0, 0.1, n)]
    seen = (places - eye) @ turn.T
    return eye, places, 0.5 + 1.1 * seen[:, :2] / seen[:, 2:]


def test_a_projection_is_found_again_from_labels():
    eye, places, pixels = camera(np.random.default_rng(0))
    matrix, error = fit(places, pixels)
    assert error < 1e-6
    assert np.allclose(View(matrix, False).eye.numpy(), eye, atol=1e-4)


def test_a_ray_meets_the_level_where_the_thing_is():
    _, places, pixels = camera(np.random.default_rng(1))
    view = View(fit(places, pixels)[0], False)
    eye, zero = torch.eye(3).expand(200, 3, 3), torch.zeros(200, 3)
    found = view(torch.tensor(pixels, dtype=torch.float32), torch.tensor(places[:, 2:], dtype=torch.float32), eye, zero)
    assert float((found - torch.tensor(places, dtype=torch.float32)).norm(dim=-1).max()) < 1e-3


def test_a_carried_camera_moves_with_the_tool():
    _, places, pixels = camera(np.random.default_rng(2), 50)
    matrix, _ = fit(places, pixels)
    uv, level = torch.tensor(pixels, dtype=torch.float32), torch.tensor(places[:, 2:], dtype=torch.float32)
    turn, tip = torch.eye(3).expand(50, 3, 3), torch.tensor([[0.05, -0.03, 0.02]]).expand(50, 3)
    found = View(matrix, True)(uv, level + 0.02, turn, tip)
    assert float((found - torch.tensor(places, dtype=torch.float32) - tip).norm(dim=-1).max()) < 1e-3


def test_noise_in_the_labels_is_what_remains():
    rng = np.random.default_rng(3)
    _, places, pixels = camera(rng, 2000)
    assert fit(places, pixels + 0.01 * rng.standard_normal(pixels.shape))[1] == pytest.approx(0.0118, rel=0.15)


def two_views(count=200):
    """Places, and the rays that two cameras see them by: one a little ahead of the table, one straight above it."""
    _, places, pixels = camera(np.random.default_rng(4), count)
    above = 0.5 + 0.9 * (places[:, :2] - (0.2, 0.0)) / (0.6 - places[:, 2:])
    still = torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3)
    rays = [View(fit(places, p)[0], False).rays(torch.tensor(p, dtype=torch.float32), *still) for p in (pixels, above)]
    return torch.tensor(places, dtype=torch.float32), rays


def test_a_thing_is_where_the_rays_of_two_cameras_cross():
    places, rays = two_views()
    both = torch.ones(200, 1, dtype=torch.bool)
    found, gap, firm = crossing(rays, [both, both])
    assert bool(firm.all()) and float((found - places).norm(dim=-1).max()) < 1e-3 and float(gap.max()) < 1e-3


def test_one_camera_alone_or_two_that_look_alike_cross_nothing():
    _, rays = two_views()
    both, none = torch.ones(200, 1, dtype=torch.bool), torch.zeros(200, 1, dtype=torch.bool)
    for given, seen in ((rays, [both, none]), (rays, [none, none]), ([rays[0], rays[0]], [both, both])):
        found, gap, firm = crossing(given, seen)
        assert not firm.any() and bool(torch.isfinite(found).all()) and bool(torch.isfinite(gap).all())


def test_rays_that_miss_each_other_say_by_how_much():
    places, rays = two_views()
    both = torch.ones(200, 1, dtype=torch.bool)
    aside = torch.linalg.cross(rays[0][0], rays[1][0])
    aside = 0.01 * aside / aside.norm(dim=-1, keepdim=True)
    found, gap, _ = crossing([(rays[0][0], rays[0][1] + aside), rays[1]], [both, both])
    assert torch.allclose(gap, torch.full((200, 1), 0.005), atol=1e-4)
    far = torch.stack([(places - begin).norm(dim=-1) for _, begin in rays])
    share = far[0] ** 2 / (far**2).sum(0)  # of the gap, that the nearer camera takes less of
    assert torch.allclose((found - places).norm(dim=-1), 0.01 * (1 - share), atol=2e-4)


def test_a_camera_close_by_says_most():
    places, rays = two_views()
    both, zero = torch.ones(200, 1, dtype=torch.bool), torch.zeros(200, 1)
    close = places + torch.tensor([0.0, 0.0, 0.1])  # where a wrist has its camera
    aside = torch.cat([torch.full((200, 1), 0.01), zero, zero], 1)
    found = crossing([(rays[0][0], rays[0][1] + aside), (places - close, close)], [both, both])[0]
    assert float((found - places)[:, :2].norm(dim=-1).max()) < 1.5e-3


def test_a_projection_and_its_rays_belong_together_also_of_a_carried_camera():
    _, places, pixels = camera(np.random.default_rng(6), 50)
    matrix, _ = fit(places, pixels)
    angle = torch.linspace(-0.5, 0.5, 50)
    zero, one = torch.zeros(50), torch.ones(50)
    turn = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero, zero, zero, one], -1)
    turn, tip = turn.view(50, 3, 3), torch.rand(50, 3)
    uv = torch.tensor(pixels, dtype=torch.float32)
    for carried in (False, True):
        view = View(matrix, carried)
        ray, begin = view.rays(uv, turn, tip)
        assert torch.allclose(view.project(begin + 0.3 * ray, turn, tip), uv, atol=1e-4)


def test_the_focal_length_is_read_from_the_projection():
    _, places, pixels = camera(np.random.default_rng(7))
    assert float(View(fit(places, pixels)[0], False).focal()) == pytest.approx(1.1, rel=1e-3)


@pytest.mark.parametrize("carried", [False, True])
def test_what_a_camera_sees_moves_with_it_as_foretold(carried):
    rng = np.random.default_rng(5)
    _, places, pixels = camera(rng, 60)
    view = View(fit(places, pixels)[0], carried)
    angle = 0.4
    turn = torch.tensor([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]).float()
    turn, tip = (turn.expand(60, 3, 3), torch.tensor([[0.05, -0.03, 0.02]]).expand(60, 3))
    place = torch.tensor(places, dtype=torch.float32)
    if carried:
        place = (turn @ place[..., None])[..., 0] + tip
    before, sways = view.project(place, turn, tip), view.sways(place, turn, tip)
    for k in range(7):
        by = 0.2 * torch.eye(7)[k]
        shift = (SHIFT * by[3:6]).expand(60, 3)
        shift = (turn @ shift[..., None])[..., 0] if carried else shift
        after = turned(view.project(place + shift, turn, tip), view.focal(), (TURN * by[:3]).expand(60, 3),
                       1 + ZOOM * by[6:].expand(60, 1))
        moved = after - before
        assert float(moved.norm(dim=-1).mean()) > 1e-4
        assert float((moved - sways @ by).norm(dim=-1).max()) < 0.05 * float(moved.norm(dim=-1).max())
