"""Picture noise for training, on the device the pictures are on. Colours shift less than two objects differ."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(rgb: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] with other light, here more and there less, tint, noise, blur and one patch
    erased; same shape.

    Nothing moves in the picture, so pixel labels stay true. `strength` 0 changes nothing.
    """
    if strength <= 0:
        return rgb
    b = rgb.shape[0]

    def uniform(*shape: int, spread: float) -> Tensor:
        noise = torch.rand(shape, generator=generator, device=rgb.device)
        return (2 * noise - 1) * spread * strength

    contrast, tint = 1 + uniform(b, 1, 1, 1, spread=0.35), 1 + uniform(b, 3, 1, 1, spread=0.12)
    bias = uniform(b, 1, 1, 1, spread=0.15)
    out = torch.addcmul(bias - 0.5 * (contrast - 1), rgb, contrast * tint)
    patches = F.interpolate(uniform(b, 1, 4, 4, spread=0.25), rgb.shape[-2:], mode="bilinear", align_corners=True)
    out = out.mul_(1 + patches)
    out = _blur(out, torch.rand(b, generator=generator, device=rgb.device) < 0.25 * strength)
    sigma = torch.rand((b, 1, 1, 1), generator=generator, device=rgb.device) * 0.05 * strength
    out = out.addcmul_(sigma, _grain(out, generator))
    return _erase(out, generator, 0.25 * strength).clamp_(0, 1)


def warp(rgb: Tensor, places: list[Tensor], generator: torch.Generator, strength: float = 1.0) -> tuple[
        Tensor, list[Tensor]]:
    """Pictures (B, 3, H, W) mirrored, turned, scaled and shifted at random, and their labels with them.

    `places` are (B, 3 N), N times image fractions u, v and visibility; what leaves the picture is no longer visible.
    """
    b, device = rgb.shape[0], rgb.device

    def uniform(spread: float, *shape: int) -> Tensor:
        return (2 * torch.rand((b, *shape), generator=generator, device=device) - 1) * spread * strength

    angle, scale, shift = uniform(0.4), torch.exp(uniform(0.25)), uniform(0.25, 2)
    mirror = torch.where(torch.rand(b, generator=generator, device=device) < 0.5 * strength, -1.0, 1.0)
    c, s = torch.cos(angle) * scale, torch.sin(angle) * scale
    turn = torch.stack([c * mirror, -s, s * mirror, c], -1).view(b, 2, 2)  # from the new picture to the old one
    grid = F.affine_grid(torch.cat([turn, shift[..., None]], -1), list(rgb.shape), align_corners=False)
    out = F.grid_sample(rgb, grid, align_corners=False, padding_mode="reflection")
    moved = []
    for place in places:
        each = place.unflatten(1, (-1, 3))
        uv = torch.linalg.solve_ex(turn, (2 * each[..., :2] - 1 - shift[:, None]).mT)[0].mT / 2 + 0.5  # never singular
        inside = ((uv > 0) & (uv < 1)).all(-1, keepdim=True)
        moved.append(torch.cat([uv, each[..., 2:] * inside], -1).flatten(1))
    return out, moved


def _grain(like: Tensor, generator: torch.Generator) -> Tensor:
    """Unit noise: one random picture, cut at a random place per sample (drawing it anew costs a CPU more than a layer).
    """
    b, c, h, w = like.shape
    if like.is_cuda:
        return torch.randn(like.shape, generator=generator, device=like.device)
    sheet = torch.randn((c, 2 * h, 2 * w), generator=generator, device=like.device)
    y = torch.randint(0, h, (b,), generator=generator, device=like.device).tolist()
    x = torch.randint(0, w, (b,), generator=generator, device=like.device).tolist()
    return torch.stack([sheet[:, j : j + h, i : i + w] for j, i in zip(y, x)])


def _blur(rgb: Tensor, chosen: Tensor) -> Tensor:
    """The `chosen` ones of `rgb` blurred, in place."""
    if rgb.is_cuda:  # does not wait to know which
        return torch.where(chosen.view(-1, 1, 1, 1), F.avg_pool2d(rgb, 3, 1, 1, count_include_pad=False), rgb)
    if bool(chosen.any()):
        rgb[chosen] = F.avg_pool2d(rgb[chosen], 3, 1, 1, count_include_pad=False)
    return rgb


def _erase(rgb: Tensor, generator: torch.Generator, chance: float) -> Tensor:
    """Cover up to a fifth of each side with one grey patch, in a share `chance` of the pictures."""
    b, _, h, w = rgb.shape
    dice = torch.rand((b, 6), generator=generator, device=rgb.device)
    high, wide = dice[:, 1] * 0.2 * h, dice[:, 2] * 0.2 * w
    top, left = dice[:, 3] * (h - high), dice[:, 4] * (w - wide)
    y, x = torch.arange(h, device=rgb.device), torch.arange(w, device=rgb.device)
    rows = (y >= top[:, None]) & (y < (top + high)[:, None]) & (dice[:, :1] < chance)
    columns = (x >= left[:, None]) & (x < (left + wide)[:, None])
    patch = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(patch, dice[:, 5].view(-1, 1, 1, 1), rgb)
