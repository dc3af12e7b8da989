import pytest
import torch

from policies import heatmaps


def test_a_blob_is_read_back_to_a_tenth_of_a_cell():
    uv = torch.tensor([[0.31, 0.72], [0.5, 0.5], [0.12, 0.9]])
    found, mass = heatmaps.read(heatmaps.blobs(uv, 32, 32).log())
    assert torch.allclose(found, uv, atol=0.1 / 32)
    assert (mass > 0.95).all()


def test_a_second_candidate_does_not_pull_the_answer_away():
    two = heatmaps.blobs(torch.tensor([[0.2, 0.2]]), 32, 32) + 0.8 * heatmaps.blobs(torch.tensor([[0.8, 0.8]]), 32, 32)
    found, mass = heatmaps.read(two.log())
    assert torch.allclose(found, torch.tensor([[0.2, 0.2]]), atol=0.3 / 32)
    assert 0.5 < float(mass[0]) < 0.6


def test_what_is_not_visible_costs_nothing():
    logits = torch.randn(2, 8, 8)
    uv = torch.tensor([[0.5, 0.5], [9.0, -3.0]])
    only = heatmaps.cross_entropy(logits[:1], uv[:1], torch.ones(1))
    assert heatmaps.cross_entropy(logits, uv, torch.tensor([1.0, 0.0])) == pytest.approx(float(only))


def test_cross_entropy_is_least_at_the_truth():
    uv, one = torch.tensor([[0.4, 0.6]]), torch.ones(1)
    right = heatmaps.cross_entropy(heatmaps.blobs(uv, 16, 16).clamp(min=1e-9).log(), uv, one)
    wrong = heatmaps.cross_entropy(heatmaps.blobs(uv + 0.1, 16, 16).clamp(min=1e-9).log(), uv, one)
    assert right < wrong


def test_sampling_a_map_of_coordinates_gives_the_coordinates():
    u, v = heatmaps.centres(16, 16)
    grid = torch.stack(torch.broadcast_tensors(u[None, :], v[:, None]))[None]
    uv = torch.tensor([[0.37, 0.61]])
    assert torch.allclose(heatmaps.sample(grid, uv[None]), uv[None], atol=1e-4)


def test_the_position_is_differentiable():
    logits = torch.randn(1, 8, 8, requires_grad=True)
    heatmaps.read(logits)[0].sum().backward()
    assert logits.grad is not None and float(logits.grad.abs().sum()) > 0
