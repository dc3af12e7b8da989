import torch

from policies import flow


def test_a_line_begins_with_noise_and_its_velocity_leads_to_its_end():
    noise, clean = torch.randn(3, 2, 4, 5), torch.randn(2, 4, 5)
    zero, time = torch.zeros(3, 2, 1, 1), torch.rand(3, 2, 1, 1) * flow.LATEST
    assert torch.equal(flow.between(noise, clean, zero), noise)
    noisy = flow.between(noise, clean, time)
    speed = flow.velocity(clean, noisy, time)
    assert torch.allclose(speed, clean - noise, atol=1e-4)
    assert torch.allclose(noisy + (1 - time) * speed, clean.expand_as(noisy), atol=1e-5)


def test_every_head_and_sample_draws_its_own_and_all_from_the_generator():
    clean = torch.zeros(400, 4, 5)
    noise, time = flow.draw(clean, 3, torch.Generator().manual_seed(0))
    again = flow.draw(clean, 3, torch.Generator().manual_seed(0))
    assert torch.equal(noise, again[0]) and torch.equal(time, again[1])
    assert noise.shape == (3, 400, 4, 5) and time.shape == (3, 400, 1, 1) and len(time.unique()) > 1000
    assert float(time.min()) >= 0 and float(time.max()) <= flow.LATEST
    assert abs(float(time.mean()) - 0.4 * flow.LATEST) < 0.02  # Beta(1.5, 1) has the mean 0.6, of what is left


def test_no_step_looks_later_than_training_did():
    assert (flow.MOST - 1) / flow.MOST <= flow.LATEST


def test_heads_are_told_the_chunk_and_the_time():
    noisy, time = torch.randn(3, 2, 4, 5), torch.rand(3, 2, 1, 1)
    told = flow.told(noisy, time)
    assert told.shape == (3, 2, flow.size(4, 5))
    assert torch.equal(told[..., :20], noisy.flatten(-2))
    assert not torch.allclose(told[..., 20:], flow.told(noisy, time + 0.05)[..., 20:], atol=1e-2)
