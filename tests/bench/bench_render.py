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


@pytest.fixture(autouse=True, scope="module")
def one_core() -> Iterator[None]:
    """Keep this process to one core, as one of many workers would have."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(params=["none", "train"])
def world(request: pytest.FixtureRequest) -> Iterator[Tabletop]:
    config = {"world": {"_option_": "tabletop", "size": SIZE}, "model": "so101", "task": "pick_place",
              "randomization": request.param, "renderer": "gl"}
    made: Tabletop = registry.assemble(config, "world")
    made.reset(0)
    yield made
    made.close()


def turns(jobs: dict[str, Callable[[], object]], rounds: int = 15, seconds: float = 0.04) -> dict[str, list[float]]:
    """Processor s of a call of each job, by round; in a round every job has its turn of at least `seconds`.

    Jobs alternate, so a busy machine slows all alike: compare them within a round. With 0 `seconds` a turn is one call.
    """
    took: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(rounds):
        for name, job in jobs.items():
            count, start = 0, time.process_time()
            while not count or time.process_time() - start < seconds:
                job()
                count += 1
            took[name].append((time.process_time() - start) / count)
    return took


def pace(jobs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median processor s of a call of each job."""
    return {name: statistics.median(times) for name, times in turns(jobs).items()}


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


@pytest.mark.parametrize("randomization", ["none", "train"])
def test_step_beside_its_parts(randomization: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`env.step` should cost little more than bare physics and a bare draw.

    The arm holds its home, and things have come to rest: bare physics then runs the motor commands that the last step
    sent, and the bare draw makes both pictures, lens included, of the instant that every step ends at. Three ratios
    are told. In turns of 40 ms the bare calls find the processor's caches full of what they need, which they never do
    in a step, where physics and pictures follow one another; call by call, they find them as a step does; and of its
    own, they are the very calls that the step makes.
    """
    import sim.env as env

    made = env.TaskEnv("pick_place", randomization=randomization, renderer="gl", size=SIZE)
    made.reset(seed=0)
    inner, home = made.world, made.normalise(made.world.model.spec.home)
    for _ in range(20):
        made.step(home)

    def physics() -> None:
        for _ in range(STEPS):
            pybullet.stepSimulation(inner.scene.client)

    now = inner.poses()
    jobs = {"env.step": lambda: made.step(home), "physics": physics,
            "draw": lambda: inner.renderer.draw(now, SIZE)}  # type: ignore[union-attr]
    for how, took in (("in turns", turns(jobs)), ("call by call", turns(jobs, rounds=200, seconds=0.0))):
        ratios = sorted(step / (bare + draw) for step, bare, draw in zip(*took.values()))
        middle = "  ".join(f"{name} {statistics.median(times) * 1e3:.2f} ms" for name, times in took.items())
        low, high = (ratios[round(share * (len(ratios) - 1))] for share in (0.1, 0.9))
        print(f"\n{randomization}, {how}: {middle}; env.step is {statistics.median(ratios):.3f} times physics and draw "
              f"(four rounds in five: {low:.2f} to {high:.2f})", end="")
    spent = own(made.world, monkeypatch)
    shares = []
    for _ in range(200):
        spent.clear()
        start = time.process_time()
        made.step(home)
        shares.append((time.process_time() - start) / sum(spent))
    print(f"\n{randomization}, of its own: env.step is {statistics.median(shares):.3f} times its physics and "
          f"its draw")
    made.close()


def own(world: Tabletop, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Processor s of every physics step and every draw of `world` from now on."""
    spent: list[float] = []

    def timed(call: Callable[..., object]) -> Callable[..., object]:
        def run(*args: object, **options: object) -> object:
            start = time.process_time()
            out = call(*args, **options)
            spent.append(time.process_time() - start)
            return out
        return run

    monkeypatch.setattr(pybullet, "stepSimulation", timed(pybullet.stepSimulation))
    monkeypatch.setattr(world.renderer, "draw", timed(world.renderer.draw))  # type: ignore[union-attr]
    return spent
