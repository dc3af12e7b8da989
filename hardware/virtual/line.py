"""The wire: one half-duplex line on which every byte takes its time and two talkers spoil each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

BITS = 10  # start, eight data, stop


@dataclass(frozen=True)
class Burst:
    """Bytes on the line, and when the first begins and the last ends (s)."""

    start: float
    end: float
    data: bytes


def seconds(count: int, baud: int) -> float:
    """How long `count` bytes take at `baud`."""
    return count * BITS / baud


def burst(start: float, data: bytes, baud: int) -> Burst:
    """`data` sent from `start` on."""
    return Burst(start, start + seconds(len(data), baud), data)


def collide(bursts: Iterable[Burst]) -> list[Burst]:
    """What is heard of bursts that overlap: where two talk at once a dominant 0 wins, bit by bit."""
    out: list[Burst] = []
    for item in sorted(bursts, key=lambda b: b.start):
        if out and item.start < out[-1].end - 1e-9:
            last = out[-1]
            byte = (last.end - last.start) / max(len(last.data), 1)
            shift = round((item.start - last.start) / byte) if byte else 0
            merged = bytearray(last.data.ljust(shift + len(item.data), b"\xff"))
            for k, value in enumerate(item.data):
                merged[shift + k] &= value
            out[-1] = Burst(last.start, max(last.end, item.end), bytes(merged))
        else:
            out.append(item)
    return out


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """The same bytes with one bit flipped, one byte lost or one byte invented."""
    if not data:
        return data
    out = bytearray(data)
    at = int(rng.integers(len(out)))
    what = int(rng.integers(3))
    if what == 0:
        out[at] ^= 1 << int(rng.integers(8))
    elif what == 1:
        del out[at]
    else:
        out.insert(at, int(rng.integers(256)))
    return bytes(out)
