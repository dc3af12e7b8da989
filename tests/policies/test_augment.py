import torch

from policies import heatmaps
from policies.augment import augment, warp


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nothing_changes_at_strength_zero():
    rgb = torch.rand(3, 3, 16, 16)
    assert augment(rgb, generator(), 0.0) is rgb
    moved, labels = warp(rgb, [torch.tensor([[0.3, 0.6, 1.0]]).expand(3, 3)], generator(), 0.0)
    assert torch.allclose(moved, rgb, atol=1e-5)
    assert torch.allclose(labels[0][:, :2], torch.tensor([0.3, 0.6]), atol=1e-5)


def test_pictures_stay_in_range_and_repeat_with_the_seed():
    rgb = torch.rand(8, 3, 32, 32)
    one, two, other = (augment(rgb, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert float(one.min()) >= 0 and float(one.max()) <= 1


def test_colours_shift_less_than_two_objects_differ():
    red, orange = torch.tensor([0.82, 0.10, 0.08]), torch.tensor([0.95, 0.45, 0.04])
    flat = red.view(1, 3, 1, 1).expand(64, 3, 16, 16)
    middle = augment(flat, generator()).flatten(2).median(-1).values

    def hue(rgb):
        return rgb[..., 1] / rgb[..., 0].clamp(min=0.05)

    assert float(hue(middle).median()) < float(hue(orange)) / 2


def test_labels_move_with_the_picture():
    uv = torch.rand(64, 2, generator=generator(3)) * 0.5 + 0.25
    spots = heatmaps.blobs(uv, 64, 64, sigma=1.5)
    rgb = (spots / spots.amax((1, 2), keepdim=True))[:, None].expand(-1, 3, -1, -1)
    moved, (labels,) = warp(rgb, [torch.cat([uv, torch.ones(64, 1)], 1)], generator(5))
    seen = labels[:, 2] > 0
    inner = seen & ((labels[:, :2] - 0.5).abs().max(-1).values < 0.42)
    found, _ = heatmaps.read((moved[:, 0] + 1e-6).log(), reach=5)
    assert int(inner.sum()) > 30
    assert float((found - labels[:, :2])[inner].norm(dim=-1).max()) < 1.0 / 64


def test_many_labels_in_one_row_move_as_each_alone():
    rgb = torch.rand(5, 3, 16, 16)
    each = [torch.cat([torch.rand(5, 2), torch.ones(5, 1)], 1) for _ in range(3)]
    _, alone = warp(rgb, each, generator(4))
    _, (together,) = warp(rgb, [torch.cat(each, 1)], generator(4))
    assert torch.allclose(torch.cat(alone, 1), together, atol=1e-6)
