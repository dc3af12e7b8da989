"""The parts of a training run that survive a kill: budget, averaged weights, optimizer, curve."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from robot.errors import DataError
from robot.output import aside, write_text

STATE = "resume.safetensors"
LATEST = "latest"


@dataclass
class Budget:
    """How far a run is, in steps, or in seconds when `seconds` is above 0."""

    steps: int
    seconds: float
    warmup: float  # share of the run
    step: int = 0
    elapsed: float = 0.0  # s

    @property
    def fraction(self) -> float:
        done = self.elapsed / self.seconds if self.seconds > 0 else self.step / self.steps
        return min(1.0, done)

    @property
    def spent(self) -> bool:
        return self.fraction >= 1.0

    def advance(self, elapsed: float) -> None:
        self.step, self.elapsed = self.step + 1, elapsed

    def rate(self) -> float:
        """Share of the full learning rate: a linear warm-up, then a cosine down to nothing."""
        x = self.fraction
        if x < self.warmup:
            return (self.step + 1) / (self.step + 1 + 20) if self.seconds > 0 else max(x, 1e-3) / self.warmup
        return 0.5 * (1 + math.cos(math.pi * (x - self.warmup) / (1 - self.warmup)))


class Average:
    """Exponentially averaged weights, which are what gets validated and kept."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: torch.nn.Module, step: int) -> None:
        """Early on the average is short, so that it forgets the random start."""
        decay = min(self.decay, (1 + step) / (10 + step))
        state = module.state_dict()
        real = [name for name, value in state.items() if value.dtype.is_floating_point]
        torch._foreach_lerp_([self.weights[n] for n in real], [state[n] for n in real], 1 - decay)
        for name in state.keys() - set(real):
            self.weights[name].copy_(state[name])

    @contextmanager
    def swapped(self, module: torch.nn.Module) -> Iterator[None]:
        """The module with the averaged weights inside this block."""
        own = {k: v.detach().clone() for k, v in module.state_dict().items()}
        module.load_state_dict(self.weights)
        try:
            yield
        finally:
            module.load_state_dict(own)


class Curve:
    """The training curve: one JSON object a line, flushed as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, entry: dict[str, float]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def cut(self, step: int) -> None:
        """Forget what lies beyond `step`, and a last line that was cut short by a kill."""
        kept = [entry for entry in self.read() if entry["step"] <= step]
        write_text(self.path, "".join(json.dumps(e) + "\n" for e in kept))

    def read(self) -> list[dict[str, float]]:
        """Every whole entry so far."""
        if not self.path.is_file():
            return []
        out = []
        for line in self.path.read_text().splitlines():
            try:
                out.append(json.loads(line))
            except ValueError:
                break
        return out


def store(folder: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer, average: Average,
          budget: Budget) -> None:
    """Write everything that `restore` needs; whole or not at all."""
    tensors = {f"weights/{k}": v for k, v in module.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.weights.items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{k}": torch.as_tensor(v) for k, v in slots.items()}
    held = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with aside(folder / STATE) as temporary:
        save_file(held, temporary, {"step": str(budget.step), "elapsed": repr(budget.elapsed)})


def restore(folder: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer, average: Average,
            budget: Budget) -> None:
    """Bring a run back to its last stored step; a run that stored nothing yet begins again."""
    path = folder / STATE
    if not path.is_file():
        return
    try:
        with safe_open(path, "pt") as file:
            notes, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    module.load_state_dict(_part(tensors, "weights/"))
    average.weights = {k: v.to(average.weights[k].device) for k, v in _part(tensors, "average/").items()}
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer/").items():
        index, name = key.split("/")
        slots.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    budget.step, budget.elapsed = int(notes["step"]), float(notes["elapsed"])


def discard(folder: Path) -> None:
    """Remove what only an unfinished run needs."""
    (folder / STATE).unlink(missing_ok=True)
    shutil.rmtree(folder / LATEST, ignore_errors=True)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
