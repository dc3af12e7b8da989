"""How long a chunk takes on one core and how many samples a second train, beside a plain matrix product."""

import statistics
import time

import numpy as np
import pytest
import torch

from policies.features import Features, vocabulary
from policies.kinematics import read_chain
from robot import registry
from robot.arms.so101 import so101
from robot.interfaces import ArmState, Frame, Observation

pytestmark = pytest.mark.bench
MODEL = so101()


def median_ms(job, repeats=20):
    job()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        job()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


@pytest.mark.parametrize("name", sorted(registry.load("policy")))
def test_a_chunk_on_one_core(name):
    joints = len(MODEL.names)
    features = Features(MODEL.names, ("front", "wrist"), 128, 10.0, vocabulary(["put the red cube in the blue tray"]),
                        tuple(MODEL.spec.home), (0.4,) * joints, 8, read_chain(MODEL.urdf, MODEL.names, MODEL.tcp),
                        ((1.0, 0.0, 0.0, 0.2, 0.0, 1.0, 0.0, 0.3, 0.0, 0.0, -1.0, 0.5),) * 2, (False, True))
    policy = registry.build("policy", name, features=features)
    zero = np.zeros(joints)
    state = ArmState(0.0, MODEL.spec.home, zero, zero, zero, zero, zero, np.zeros(joints, np.int64), zero)
    frame = Frame(0.0, np.zeros((128, 128, 3), np.uint8))
    seen = Observation(0.0, state, {"front": frame, "wrist": frame})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        policy.reset("put the red cube in the blue tray")
        chunk = median_ms(lambda: policy.act(seen))
        square = torch.randn(512, 512)
        plain = median_ms(lambda: square @ square)
    finally:
        torch.set_num_threads(threads)
    size = sum(p.numel() for p in policy.parameters()) / 1e6
    print(f"\n{name}: {size:.2f} M parameters, {chunk:.1f} ms a chunk = {chunk / plain:.1f} products of 512x512")
