"""How long a chunk takes on one core and how many samples a second train, beside LeRobot's ACT in the same run."""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from policies.features import Features, vocabulary
from policies.kinematics import read_chain
from robot import config, registry
from robot.arms.so101 import so101
from robot.interfaces import ArmState, Frame, Observation

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
MODEL = so101()
J, SIZE, THINGS, WORDS = len(MODEL.names), 128, 8, "put the red cube in the blue tray"
PRESETS = ("small", "base")
ACT = Path(__file__).parents[1] / "policies" / "peers" / "lerobot_act.py"
PEER = Path(os.environ.get("STEADYHAND_PEERS", "/nowhere")) / "lerobot-policy" / "bin" / "python"


def built(preset):
    features = Features(MODEL.names, ("front", "wrist"), SIZE, 10.0, vocabulary([WORDS]), tuple(MODEL.spec.home),
                        (0.4,) * J, 8, read_chain(MODEL.urdf, MODEL.names, MODEL.tcp),
                        ((1.0, 0.0, 0.0, 0.2, 0.0, 1.0, 0.0, 0.3, 0.0, 0.0, -1.0, 0.5),) * 2, (False, True))
    chosen = config.resolve("train", ["data=x", "out=y", f"policy={preset}"])["policy"]
    return registry.build("policy", chosen, features=features)


def timed_ms(job, repeats):
    """The first call, and the median of those after it."""
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        job()
        times.append(1000 * (time.perf_counter() - begin))
    return times[0], statistics.median(times[1:])


def size(policy):
    return sum(p.numel() for p in policy.parameters()) / 1e6


@pytest.fixture
def one_core():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_chunk_on_one_core(preset, one_core):
    policy, zero = built(preset).finished(), np.zeros(J)  # as a loaded checkpoint is
    state = ArmState(0.0, MODEL.spec.home, zero, zero, zero, zero, zero, np.zeros(J, np.int64), zero)
    frame = Frame(0.0, np.zeros((SIZE, SIZE, 3), np.uint8))
    seen = Observation(0.0, state, {"front": frame, "wrist": frame})
    policy.reset(WORDS)
    first, chunk = timed_ms(lambda: policy.act(seen), 50)
    square = torch.randn(512, 512)
    _, plain = timed_ms(lambda: square @ square, 50)
    print(f"\n{preset}: {size(policy):.2f} M parameters, first chunk {first:.1f} ms, then {chunk:.1f} ms "
          f"= {chunk / plain:.1f} products of 512x512")


def batch(n, pictures):
    out = {"state": torch.randn(n, J), "effort": torch.zeros(n, J), "action": torch.randn(n, 16, J),
           "tool": torch.zeros(n, 16, 3), "mask": torch.ones(n, 16, dtype=torch.bool),
           "words": torch.ones(n, 16, dtype=torch.int64), "pointed": torch.zeros(n, 16, 2, dtype=torch.bool),
           "aux.yaw": torch.zeros(n, 2)}
    for thing in ("target", "goal"):
        out[f"aux.{thing}_xyz"] = 0.2 * torch.rand(n, 3)
        out |= {f"aux.{thing}_px.{c}": torch.rand(n, 3) for c in ("front", "wrist")}
    out |= {f"aux.tool_px.{c}": torch.rand(n, 3) for c in ("front", "wrist")}
    out |= {f"aux.{k}": torch.zeros(n, 1) for k in ("held", "phase", "progress", "success")}
    if pictures:
        out["names"] = torch.ones(n, THINGS, 16, dtype=torch.int64)
        out |= {f"aux.things_px.{c}": torch.rand(n, 3 * THINGS) for c in ("front", "wrist")}
        out |= {f"images.{c}": torch.randint(0, 255, (n, SIZE, SIZE, 3), dtype=torch.uint8) for c in ("front", "wrist")}
    return out


def samples_per_s(preset, device, steps, n=64):
    """Whole steps as training takes them: `n` picture samples, 1024 pictureless ones, AdamW."""
    torch.manual_seed(0)
    policy = built(preset).to(device, memory_format=torch.channels_last).train()
    policy.bf16 = device == "cuda"
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3)
    frames, rows = ({k: v.to(device) for k, v in batch(*which).items()} for which in ((n, True), (1024, False)))
    generator = torch.Generator(device).manual_seed(0)

    def step():
        total = torch.stack(list(policy(frames, rows, generator).values())).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 5.0)
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return 1000 * n / timed_ms(step, steps)[1], size(policy)


def test_training_beside_lerobots_act():
    threads = min(2, os.cpu_count() or 1)
    torch.set_num_threads(threads)
    found = {preset: samples_per_s(preset, "cpu", 5) for preset in PRESETS}
    for preset, (rate, million) in found.items():
        print(f"\n{preset}: {million:.2f} M parameters, {rate:.1f} samples/s on {threads} threads", end="")
    if torch.cuda.is_available():
        for preset in PRESETS:
            print(f"\n{preset}: {samples_per_s(preset, 'cuda', 50)[0]:.0f} samples/s on the GPU, bf16", end="")
    if not PEER.is_file():
        pytest.skip("STEADYHAND_PEERS has no lerobot-policy (docs/peers.md)")
    done = subprocess.run([str(PEER), str(ACT), "speed", "5", "8", str(threads)], capture_output=True, text=True,
                          check=True)
    act = json.loads(done.stdout.splitlines()[-1])
    print(f"\nLeRobot's ACT: {act['parameters'] / 1e6:.2f} M parameters, {act['samples_per_s']:.1f} samples/s on "
          f"{threads} threads, on one core first chunk {act['first_ms']:.0f} ms, then {act['chunk_ms']:.0f} ms")
    print(", ".join(f"{preset} trains {rate / act['samples_per_s']:.1f} times as many samples a second"
                    for preset, (rate, _) in found.items()))
