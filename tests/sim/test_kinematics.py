"""Inverse kinematics: exact within reach, honest outside it, never past a limit."""

from __future__ import annotations

import numpy as np
import pytest

from robot.arms.so101 import so101
from robot.errors import SceneError
from sim.kinematics import Chain

DOWN = np.array([0.0, 0.0, -1.0])


@pytest.fixture(scope="module")
def chain() -> Chain:
    m = so101()
    return Chain(m.urdf, m.names[:-1], m.tcp, m.spec.lower[:-1], m.spec.upper[:-1])


@pytest.mark.parametrize("reach", [0.12, 0.17, 0.235])
@pytest.mark.parametrize("angle", [-0.85, 0.0, 0.85])
def test_top_down_grasps_in_the_workspace(chain, reach, angle):
    point = np.array([0.0388 + reach * np.cos(angle), reach * np.sin(angle), 0.014])
    closing = np.array([np.cos(angle + 0.6), np.sin(angle + 0.6), 0.0])
    found = chain.solve(point, DOWN, closing, so101().spec.home[:-1])
    tip = chain.pose(found.q)
    assert np.linalg.norm(tip[:3, 3] - point) < 5e-4
    assert found.tilt < 0.02
    assert tip[:3, 0] @ closing > 0.999


def test_place_comes_before_tilt_far_out(chain):
    found = chain.solve(np.array([0.33, 0.0, 0.06]), DOWN, None, so101().spec.home[:-1])
    assert found.position < 1e-3 and found.tilt > 0.1


def test_out_of_reach_says_so_and_keeps_the_limits(chain):
    found = chain.solve(np.array([0.9, 0.2, 0.3]), DOWN, None, so101().spec.home[:-1])
    assert found.position > 0.3
    assert (found.q >= chain.lower).all() and (found.q <= chain.upper).all()


def test_unknown_tip():
    m = so101()
    with pytest.raises(SceneError, match="nose"):
        Chain(m.urdf, m.names[:-1], "nose", m.spec.lower[:-1], m.spec.upper[:-1])
