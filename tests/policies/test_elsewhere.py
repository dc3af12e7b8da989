import math

import numpy as np
import pytest
import torch

from policies import elsewhere
from policies.by_arm import ByArm
from policies.elsewhere import moved, turned
from policies.sight import Body
from policies.views import View
from tests.policies.test_sight import AHEAD, EYE, FOCAL, FRONT, WRIST, matrix


def scene(n=64, seed=0):
    """Two cameras, one of them carried, and rows of a thing and the tool as they see them."""
    rng = np.random.default_rng(seed)
    views = {"front": ByArm([View(FRONT, False)]), "wrist": ByArm([View(WRIST, True)])}
    xyz = torch.tensor(np.c_[rng.uniform(0.1, 0.3, n), rng.uniform(-0.1, 0.1, n), rng.uniform(0, 0.03, n)]).float()
    tip = xyz + torch.tensor([0.0, 0.01, 0.12])
    turn = torch.eye(3).expand(n, 3, 3)
    places = {"target": xyz, "tool": tip}
    pixels = {f"{what}.{c}": torch.cat([views[c].project(0, place, turn, tip), torch.ones(n, 1)], 1)
              for what, place in places.items() for c in views if (what, c) != ("tool", "wrist")}
    return pixels, places, views, Body(torch.zeros(n, 0), turn, tip)


def there(pixels, places, views, body, lies=True, seed=0):
    lying = torch.full((len(body.tip), 1), lies)
    return moved(pixels, places, lying, views, 0, body, torch.Generator().manual_seed(seed))


def test_a_share_of_the_rows_is_of_elsewhere_and_the_others_as_they_were():
    pixels, places, views, body = scene(2000)
    out = there(pixels, places, views, body)
    same = (out.pixels["target.front"] == pixels["target.front"]).all(-1)
    assert float(same.float().mean()) == pytest.approx(1 - elsewhere.SHARE, abs=0.05)
    for key in pixels:
        assert torch.equal(out.pixels[key][same], pixels[key][same])
    assert torch.equal(out.places["target"][same], places["target"][same])
    assert torch.equal(out.places["tool"], places["tool"])


def test_things_rise_with_their_table_unless_they_are_held(monkeypatch):
    monkeypatch.setattr(elsewhere, "SHARE", 1.0)
    pixels, places, views, body = scene()
    rise = there(pixels, places, views, body).places["target"] - places["target"]
    assert not rise[:, :2].any() and 0.01 < float(rise[:, 2].abs().max()) <= elsewhere.RISE
    assert torch.equal(there(pixels, places, views, body, lies=False).places["target"], places["target"])


def test_where_only_the_table_differs_rays_meet_there(monkeypatch):
    monkeypatch.setattr(elsewhere, "SHARE", 1.0)
    for key in ("TURN", "SHIFT", "ZOOM"):
        monkeypatch.setattr(elsewhere, key, 0.0)
    pixels, places, views, body = scene()
    out = there(pixels, places, views, body)
    for camera, view in views.items():
        seen = view.project(0, out.places["target"], body.turn, body.tip)
        assert torch.allclose(out.pixels[f"target.{camera}"][:, :2], seen, atol=1e-5)


def test_a_camera_that_turned_sees_what_a_turned_projection_says():
    spin = torch.tensor([[0.02, -0.015, 0.03]])
    angle = float(spin.norm())
    axis = (spin / angle)[0].numpy()
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    whole = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    place = torch.tensor([[0.25, 0.08, 0.02]])
    plain, other = (View(matrix(EYE, turn, FOCAL), False) for turn in (AHEAD, whole @ AHEAD))
    still = torch.eye(3)[None], torch.zeros(1, 3)
    found = turned(plain.project(place, *still), plain.focal(), spin, torch.ones(1, 1))
    assert float((found - other.project(place, *still)).norm()) < 1e-3 < float(
        (found - plain.project(place, *still)).norm())


def test_what_leaves_the_picture_is_seen_no_longer(monkeypatch):
    monkeypatch.setattr(elsewhere, "SHARE", 1.0)
    monkeypatch.setattr(elsewhere, "SHIFT", 0.5)
    pixels, places, views, body = scene(500)
    out = there(pixels, places, views, body).pixels["target.front"]
    inside = ((out[:, :2] > 0) & (out[:, :2] < 1)).all(-1)
    assert not inside.all() and torch.equal(out[:, 2] > 0.5, inside)


def test_the_same_generator_gives_the_same_rows():
    given = scene()
    one, two, other = (there(*given, seed=seed).pixels["target.wrist"] for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other) and bool(torch.isfinite(one).all())
