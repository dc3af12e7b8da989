"""Where tasks put things: within reach, apart, and refused in so many words when there is no room."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from robot.errors import SceneError
from sim.tasks import props

RADII = [0.062, 0.02, 0.026, 0.02]
MARGIN = 0.018


@pytest.mark.parametrize("seed", range(30))
def test_places_are_reachable_and_apart(seed):
    places = props.arrange(np.random.default_rng(seed), RADII, margin=MARGIN, taken=[(0.2, 0.1, 0.03)])
    for (a, r), (b, s) in combinations([*zip(places, RADII), (np.array([0.2, 0.1]), 0.03)], 2):
        assert np.hypot(*(a - b)) >= r + s + MARGIN - 1e-9
    for x, y in places:
        out, angle = math.hypot(x - props.PIVOT, y), math.atan2(y, x - props.PIVOT)
        assert props.NEAR <= out <= props.FAR and abs(angle) <= props.SIDE


def test_too_much_is_refused_after_a_bounded_number_of_tries(monkeypatch):
    asked = []
    real = props.Layout.free
    monkeypatch.setattr(props.Layout, "free", lambda self, *a, **k: (asked.append(1), real(self, *a, **k))[1])
    with pytest.raises(SceneError, match=r"no free place of radius 0\.150 m beside \d+ others.*fewer or smaller"):
        props.arrange(np.random.default_rng(0), [0.15, 0.15], attempts=5)
    assert len(asked) <= 10


def test_distractors_never_touch_what_matters():
    from robot import registry
    from robot.arms.so101 import so101
    from sim.randomization import some
    from sim.world import Tabletop

    world = Tabletop(so101(), registry.build("task", "pick_place"), some(axes=(), held_out=("distractors",)))
    found = 0
    for seed in range(8):
        world.reset(seed)
        others = [n for n in world.scene.bodies if n.startswith("distractor")]
        found += len(others)
        for name in others:
            assert all(world.scene.distance(name, n) > 0.005 for n in world.scene.bodies
                       if n not in ("table", name)), name
    assert found >= 16
    world.close()
