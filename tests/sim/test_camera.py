"""Cameras of a world: late, lossy, as stale as real ones, and drawn together."""

from __future__ import annotations

import numpy as np
import pytest

from robot import registry
from robot.arms.so101 import so101
from sim.look import Lens
from sim.randomization import none, some
from sim.render import TinyRenderer
from sim.render_lens import develop
from sim.world import Tabletop

RATE = 1 / 30  # s between exposures


@pytest.fixture(scope="module")
def world():
    late = some(axes=(), held_out=("observation_delay",))
    made = Tabletop(so101(), registry.build("task", "pick_place"), late, TinyRenderer(), size=32)
    yield made
    made.close()


@pytest.fixture(scope="module")
def prompt():
    made = Tabletop(so101(), registry.build("task", "pick_place"), none(), TinyRenderer(), size=32)
    yield made
    made.close()


def swung(world: Tabletop, periods: int) -> None:
    q = world.arm.spec.home.copy()
    for _ in range(periods):
        q[0] += 0.2
        world.step(q)


def test_a_picture_is_as_old_as_the_axis_says(world):
    world.reset(3)
    swung(world, 3)
    stamps = {frame.stamp for frame in world.observe().frames.values()}
    assert len(stamps) == 1, "all cameras see one moment"
    age = world.clock.now() - stamps.pop()
    assert world.delay >= 0.035 and world.delay - 1e-6 <= age < world.delay + RATE


def test_what_is_too_old_is_refused_with_its_age(world):
    world.reset(3)
    swung(world, 3)
    with pytest.raises(TimeoutError, match=r"picture of front is 0\.\d+ s old, over 0\.010 s"):
        world.cameras["front"].read(0.01)


def test_a_prompt_camera_shows_now(prompt, world):
    pictures = []
    for one in (prompt, world):
        one.reset(3)
        before = one.cameras["front"].read(1.0).rgb
        swung(one, 1)
        frame = one.cameras["front"].read(1.0)
        pictures.append(np.abs(frame.rgb.astype(int) - before).mean())
        assert one.cameras["front"].read(1.0).rgb is frame.rgb, "the same moment is drawn once"
    assert pictures[0] > pictures[1], "the late one shows less of the swing"


def test_lost_exposures_leave_the_last_picture(prompt):
    prompt.reset(4)
    rig = prompt._rig
    rig.reset(prompt.look, seed=4, drop=1.0)
    first = prompt.cameras["front"].read(1.0)
    prompt.step(prompt.arm.spec.home)
    assert prompt.cameras["front"].read(1.0).stamp == first.stamp
    with pytest.raises(TimeoutError):
        prompt.cameras["front"].read(0.05)


def test_after_going_back_the_future_is_forgotten(world):
    world.reset(5)
    swung(world, 2)
    moment, seen = world.snapshot(), world.cameras["front"].read(1.0)
    swung(world, 3)
    world.restore(moment)
    again = world.cameras["front"].read(1.0)
    assert again.stamp == seen.stamp and np.array_equal(again.rgb, seen.rgb)


def test_blur_and_noise_are_those_asked_for():
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 200
    assert develop(edge, Lens(), 0) is edge
    slope = np.diff(develop(edge, Lens(blur=2.0), 0)[32, :, 0].astype(int)).max()
    assert 200 / 8 < slope < 200 / 2
    flat = np.full((64, 64, 3), 128, np.uint8)
    noisy = develop(flat, Lens(noise=0.03), 7)
    assert noisy.std() == pytest.approx(0.03 * 255, rel=0.1) and noisy.mean() == pytest.approx(128, abs=0.5)
    assert np.array_equal(noisy, develop(flat, Lens(noise=0.03), 7))
