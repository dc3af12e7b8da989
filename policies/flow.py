"""Flow matching: a chunk is drawn by following a velocity from noise, at time 0, to data, at time 1, on straight lines.

Y. Lipman et al., Flow Matching for Generative Modeling, ICLR 2023; X. Liu et al., Flow Straight and Fast (rectified
flow), ICLR 2023. For chunks of robots' actions: K. Black et al., pi0, 2024 (arXiv 2410.24164); M. Shukor et al.,
SmolVLA, 2025 (arXiv 2506.01844).

The network says where a line ends, and by that its velocity (T. Salimans, J. Ho, Progressive Distillation, ICLR 2022,
compare what a network may predict): an end can be put together from places, a velocity cannot.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LATEST = 0.9  # time that training draws at most: velocities from ends have no bound towards 1
WAVES = 4  # of the time, each a sine and a cosine
MOST = round(1 / (1 - LATEST))  # Euler steps that never look later than that


def draw(clean: Tensor, heads: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For chunks `clean` (B, H, N) and each of K `heads`: noise (K, B, H, N) and times (K, B, 1, 1).

    Early times, where there is most to decide, are drawn more often, by pi0's Beta(1.5, 1) of the time that is left.
    """
    noise = torch.randn((heads, *clean.shape), generator=generator, device=clean.device)
    dice = torch.rand((heads, len(clean), 1, 1), generator=generator, device=clean.device)
    return noise, LATEST * (1 - dice ** (1 / 1.5))


def between(noise: Tensor, clean: Tensor, time: Tensor) -> Tensor:
    """Where the line from `noise` to `clean` is at `time`."""
    return time * clean + (1 - time) * noise


def velocity(clean: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
    """Of the line that is at `noisy` at `time` and ends at `clean`."""
    return (clean - noisy) / (1 - time)


def told(noisy: Tensor, time: Tensor) -> Tensor:
    """What a head is told beside the scene (K, B, `size`): the noisy chunk (K, B, H, N), and waves of the time."""
    angle = math.pi * time[..., 0]
    waves = [f(2**k * angle) for k in range(WAVES) for f in (torch.sin, torch.cos)]
    return torch.cat([noisy.flatten(-2), *waves], -1)


def size(horizon: int, numbers: int) -> int:
    """How many numbers `told` gives for a chunk of `horizon` rows of `numbers`."""
    return horizon * numbers + 2 * WAVES
