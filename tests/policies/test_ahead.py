import itertools

import numpy as np
import torch

from policies import ahead, sampler
from robot import registry


def sampler_of(toy):
    episodes = np.arange(toy.episodes)
    described = sampler.describe(toy, ("front", "wrist"), episodes, registry.build("model", "so101"))
    return sampler.Sampler(toy, described, episodes, horizon=4, seed=3, batch=4, rows=8, swap=0.5)


def test_other_processes_make_the_same_batches_in_the_same_order(toy):
    made = sampler_of(toy)
    feed = ahead.batches(made, start=5, processes=2)
    for step, (seen, rows) in zip(range(5, 12), feed):
        for got, wanted in zip((seen, rows), made.step(step)):
            assert got.keys() == wanted.keys()
            assert all(torch.equal(got[k], wanted[k]) and got[k].dtype == wanted[k].dtype for k in wanted)
    feed.close()


def test_without_processes_batches_are_made_when_asked_for(toy):
    made = sampler_of(toy)
    first, second = itertools.islice(ahead.batches(made, start=0, processes=0), 2)
    assert torch.equal(first[0]["index"], made.step(0)[0]["index"])
    assert torch.equal(second[1]["index"], made.step(1)[1]["index"])
