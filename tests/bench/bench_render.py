"""How fast pictures are made, beside PyBullet's own renderer in the same process: `pytest tests/bench -m bench -s`.

Processor time is measured: llvmpipe draws in the calling thread, and other work on the core then counts for little.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator

import pybullet
import pytest

os.environ.setdefault("LP_NUM_THREADS", "0")  # one core, as a worker process has

from robot import registry
from sim.picture import matrices
from sim.render_tiny import projection_matrix, view_matrix
from sim.world import STEPS, Tabletop

pytestmark = pytest.mark.bench
SIZE, SEEDS = 128, range(5)


@pytest.fixture(params=["none", "train"])
def world(request: pytest.FixtureRequest) -> Iterator[Tabletop]:
    config = {"world": {"_option_": "tabletop", "size": SIZE}, "model": "so101", "task": "pick_place",
              "randomization": request.param, "renderer": "gl"}
    made: Tabletop = registry.assemble(config, "world")
    made.reset(0)
    yield made
    made.close()


def pace(jobs: dict[str, Callable[[], object]], rounds: int = 15) -> dict[str, float]:
    """Median processor s of a call of each job; rounds alternate between jobs: a busy machine slows all alike."""
    took: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(rounds):
        for name, job in jobs.items():
            count, start = 0, time.process_time()
            while (spent := time.process_time() - start) < 0.04:
                job()
                count += 1
            took[name].append(spent / count)
    return {name: statistics.median(times) for name, times in took.items()}


def bare_tiny(world: Tabletop, shadow: int) -> None:
    instant = world.poses()
    for view, pose in zip(world.look.views.values(), matrices(instant[-len(world.look.views):])):
        pybullet.getCameraImage(SIZE, SIZE, view_matrix(pose), projection_matrix(view, SIZE), shadow=shadow,
                                lightDirection=(0.3, -0.2, 1.0), lightDistance=2.0,
                                renderer=pybullet.ER_TINY_RENDERER, physicsClientId=world.scene.client)


def test_images_a_second_beside_tiny(world: Tabletop) -> None:
    renderer = world.renderer
    assert renderer is not None
    jobs: dict[str, Callable[[], object]] = {
        "gl": lambda: renderer.draw(world.poses(), SIZE),
        "tiny with shadows": lambda: bare_tiny(world, 1),
        "tiny without shadows": lambda: bare_tiny(world, 0),
    }
    views = len(world.look.views)
    took = pace(jobs)
    for name, seconds in took.items():
        print(f"\n{name:24s} {views / seconds:7.0f} images/s   gl is {seconds / took['gl']:5.1f} times as fast", end="")
    print(f"   ({renderer.name})")


def test_step_beside_its_parts(world: Tabletop) -> None:
    """`env.step` should cost little more than bare physics and a bare draw."""
    import sim.env as env

    made = env.TaskEnv("pick_place", randomization="none", renderer="gl", size=SIZE)
    made.reset(seed=0)
    inner, home = made.world, made.normalise(made.world.model.spec.home)

    def physics() -> None:
        for _ in range(STEPS):
            pybullet.stepSimulation(inner.scene.client)

    now = inner.poses()
    took = pace({"physics": physics, "draw": lambda: inner.renderer.draw(now, SIZE),  # type: ignore[union-attr]
                 "env.step": lambda: made.step(home), "world.step": lambda: inner.step(inner.model.spec.home)})
    for name, seconds in took.items():
        print(f"\n{name:12s} {seconds * 1e3:6.2f} ms", end="")
    print(f"\nenv.step is {took['env.step'] / (took['physics'] + took['draw']):.2f} times physics and draw")
    made.close()
