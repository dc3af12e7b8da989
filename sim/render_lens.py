"""What lens and sensor do to a finished picture: blur and noise, the same for every renderer."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from robot.interfaces import Image
from sim.look import Lens


def develop(rgb: Image, lens: Lens, seed: int) -> Image:
    """The picture as `lens` and sensor give it; itself where they are perfect. The same seed gives the same noise."""
    blur, noise = lens.blur * rgb.shape[1] / 128, lens.noise * 255
    if blur > 0.05:
        taps = 2 * math.ceil(2.5 * blur) + 1
        rgb = cv2.GaussianBlur(rgb, (taps, taps), blur)
    if noise > 0.05:
        words = np.random.SFC64(seed).random_raw(-(-rgb.size // 8))  # bits as they come, at memory speed
        dice = words.view(np.uint8)[: rgb.size].reshape(rgb.shape)
        rgb = cv2.add(rgb, cv2.LUT(dice, _quantiles(round(noise, 2))), dtype=cv2.CV_8U)
    return rgb


@lru_cache(maxsize=64)
def _quantiles(sigma: float) -> NDArray[np.int16]:
    """(256,) normal quantiles: a look-up turns uniform bytes into Gaussian noise at memory speed."""
    normal = NormalDist(0.0, sigma)
    return np.array([round(normal.inv_cdf((k + 0.5) / 256)) for k in range(256)], dtype=np.int16)
