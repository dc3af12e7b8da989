"""`steadyhand train`: one loop that teaches any registered policy from a dataset."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from policies import ahead, checkpoint, finetune, mixture, run_state
from policies.base import Batch, ChunkPolicy
from policies.data import TrainingData
from policies.practice import Practice
from policies.run_state import Average, Budget, Curve
from policies.sampler import Sampler, check, describe_all
from policies.team import Team
from robot import output, registry
from robot.clock import WallClock
from robot.errors import ConfigError, DataError

log = logging.getLogger(__name__)
CARD = "run.json"
IGNORED = ("resume", "debug", "threads", "loaders", "tensorboard")  # may differ between a run and its continuation


@dataclass
class Run:
    """Everything one training run holds; `policy` is the module as the policy, `model` as accelerate wraps it."""

    config: dict[str, Any]
    folder: Path
    accelerator: Accelerator
    policy: ChunkPolicy
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    average: Average
    budget: Budget
    curve: Curve
    training: Sampler
    validation: Sampler
    team: Team | None = None  # where one process trains on a CPU
    practice: Practice | None = None  # where rollouts were asked for
    feed: Iterator[tuple[Batch, Batch]] | None = None  # of coming steps, where other processes make them


def main(config: dict[str, Any]) -> int:
    """Train and leave a checkpoint with its card in `out`; 0 when the run is complete."""
    console = Console()
    data = _open(config)
    run = prepare(config, data)
    if run.budget.step:
        console.print(f"continuing at step {run.budget.step}")
    best = loop(run, console)
    if run.accelerator.is_main_process:
        _finish(run, data, best)
        shown = ", ".join(f"{k} {v:.1f}" for k, v in best.items() if k in ("target_mm", "goal_mm", "chunk_mrad"))
        console.print(f"checkpoint: {run.folder}  ({run.budget.step} steps, {shown})")
    return 0


def _open(config: Mapping[str, Any]) -> TrainingData:
    cameras = tuple(config["cameras"])
    if not cameras:
        raise ConfigError("cameras= must name at least one camera")
    for key in ("batch", "rows"):
        if config[key] < 1:
            raise ConfigError(f"{key}={config[key]} must be at least 1")
    if config["minutes"] <= 0 and config["steps"] < 1:
        raise ConfigError("give steps= or minutes= above 0")
    paths = config["data"] if isinstance(config["data"], list) else [config["data"]]
    if len(set(paths)) != len(paths):
        raise ConfigError(f"data={_listed(paths)} names one twice")
    parts = [TrainingData.open(path, cameras) for path in paths]
    for part in parts:
        check(part, cameras)
    return mixture.mix(parts)


def _listed(paths: list[str]) -> str:
    return f"[{','.join(paths)}]"


def prepare(config: dict[str, Any], data: TrainingData) -> Run:
    """Build the run that `config` describes, or pick up the unfinished one in its folder."""
    if config["threads"]:
        torch.set_num_threads(config["threads"])
    torch.manual_seed(config["seed"])
    accelerator = Accelerator()
    train, held = data.split(config["validation"], config["seed"])
    features = describe_all(data, tuple(config["cameras"]), train, mixture.models(data, config["model"]))
    base = finetune.trained(config["init"]) if config["init"] else None
    if base is not None:
        features = finetune.widen(base.features, features)
    policy: ChunkPolicy = registry.build("policy", config["policy"], features=features)
    if lost := {name: without for name, without in policy.needs.items() if name not in data.aux}:
        raise DataError(f"{data.path} has no column aux.{next(iter(lost))}, which the policy learns from; "
                        f"generate the data anew, or train with {' '.join(dict.fromkeys(lost.values()))}")
    if base is not None:
        finetune.graft(policy, base)
    if config["rollouts_every"] > 0:
        policy.settle(registry.build("model", config["model"]))
    policy.bf16 = halves(config["precision"], accelerator.device)
    policy = policy.to(accelerator.device, memory_format=torch.channels_last)
    folder = _claim(config)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=config["learning_rate"], weight_decay=config["weight_decay"])
    average = Average(policy, config["averaging"])
    budget = Budget(config["steps"], 60 * config["minutes"], config["warmup"])
    curve = Curve(folder / "curve.jsonl")
    if config["resume"]:
        run_state.restore(folder, policy, optimizer, average, budget)
        curve.cut(budget.step)
    model, optimizer = accelerator.prepare(policy, optimizer)
    common = {"data": data, "features": features, "horizon": policy.horizon, "seed": config["seed"],
              "batch": config["batch"], "rows": config["rows"], "rank": accelerator.process_index, "swap": policy.apart}
    return Run(config, folder, accelerator, policy, model, optimizer, average, budget, curve,
               Sampler(episodes=train, **common), Sampler(episodes=held if len(held) else train[:1], **common),
               _team(accelerator, config["batch"]), Practice(config) if config["rollouts_every"] > 0 else None)


def _team(accelerator: Accelerator, batch: int) -> Team | None:
    alone = accelerator.num_processes == 1 and accelerator.device.type == "cpu"
    return Team(torch.get_num_threads(), batch) if alone else None


def _claim(config: dict[str, Any]) -> Path:
    folder = Path(config["out"])
    if config["resume"]:
        if (folder / CARD).is_file():
            raise DataError(f"the run in {folder} is complete; choose another out=")
        output.agree(folder, config, IGNORED)
    return output.claim(folder, "train", config, resume=config["resume"])


def halves(precision: str, device: torch.device) -> bool:
    """Whether pictures go through in bfloat16: asked for, or `auto` where the hardware is quick at it."""
    if precision not in ("auto", "bf16", "fp32"):
        raise ConfigError(f"precision={precision} must be one of: auto, bf16, fp32")
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def loaders(wanted: int, device: torch.device) -> int:
    """Processes that make batches: as many as `wanted`, or for -1, 4 for a GPU and none beside a CPU's training."""
    if wanted < -1:
        raise ConfigError(f"loaders={wanted} must be at least 0, or -1 to have it chosen")
    return wanted if wanted >= 0 else 4 if device.type == "cuda" else 0


def loop(run: Run, console: Console) -> dict[str, float]:
    """Train until the budget is spent; returns the last validation errors."""
    clock, board, found = WallClock(), _board(run), dict[str, float]()
    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn(),
               TextColumn("{task.fields[note]}"))
    with _no_denormals(), Progress(*columns, console=console, disable=not run.accelerator.is_main_process) as bar:
        task = bar.add_task("train", total=1.0, completed=run.budget.fraction, note="")
        start, done, before = clock.now(), run.budget.step, run.budget.elapsed
        run.feed = ahead.batches(run.training, done, loaders(run.config["loaders"], run.accelerator.device),
                                 pinned=run.accelerator.device.type == "cuda")
        while not run.budget.spent:
            losses = train_step(run)
            spent = clock.now() - start
            run.budget.advance(before + spent)
            step, last = run.budget.step, run.budget.spent
            if step % 20 == 0 or last:
                samples = (step - done) * run.config["batch"] * run.accelerator.num_processes
                entry = {"step": step, "loss": sum(losses.values()), "elapsed_s": round(run.budget.elapsed, 1),
                         "samples_per_s": round(samples / spent, 1), **losses}
                _note(run, board, entry)
                note = f"loss {entry['loss']:.3f}  {entry['samples_per_s']:.0f}/s  {_short(found)}"
                bar.update(task, completed=run.budget.fraction, note=note)
            if step % run.config["validate_every"] == 0 or last:
                found |= validate(run)
                _note(run, board, {"step": step, **{f"val.{k}": v for k, v in found.items()}})
            if run.practice is not None and (step % run.config["rollouts_every"] == 0 or last):
                found |= practise(run)
                _note(run, board, {"step": step, **{k: v for k, v in found.items() if k.startswith("rollout_")}})
            if step % run.config["save_every"] == 0 and not last and run.accelerator.is_main_process:
                _store(run)
    return found


@contextmanager
def _no_denormals() -> Iterator[None]:
    """Numbers next to nothing count as nothing: reckoning with them is a hundred times slower."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)  # it is of this whole thread, and others may need them


def _store(run: Run) -> None:
    """What a killed run continues from, and a checkpoint that can be tried meanwhile."""
    run_state.store(run.folder, run.policy, run.optimizer, run.average, run.budget)
    option = run.config["policy"][registry.OPTION_KEY]
    checkpoint.save(run.policy, option, run.folder / run_state.LATEST, run.average.weights)


def train_step(run: Run) -> dict[str, float]:
    """One update of the weights; returns the named losses. All randomness comes from (seed, step)."""
    budget, device = run.budget, run.accelerator.device
    rate = run.config["learning_rate"] * budget.rate()
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    seed = (run.config["seed"] * 1_000_003 + budget.step) * 64 + run.accelerator.process_index
    torch.manual_seed(seed)
    generator = torch.Generator(device).manual_seed(seed)
    made = next(run.feed) if run.feed is not None else run.training.step(budget.step)
    frames, rows = ({k: v.to(device, non_blocking=True) for k, v in part.items()} for part in made)
    run.model.train()
    run.optimizer.zero_grad(set_to_none=True)
    losses = run.team.learn(run.policy, frames, rows, seed) if run.team else run.model(frames, rows, generator)
    terms = torch.stack(list(losses.values()))
    values = terms.detach().tolist()  # at once: each look at a GPU waits for it
    if bad := next((k for k, v in zip(losses, values) if not math.isfinite(v)), None):
        raise DataError(f"the loss {bad!r} is not finite at step {budget.step}; lower learning_rate")
    if run.team is None:
        run.accelerator.backward(terms.sum())
    run.accelerator.clip_grad_norm_(run.model.parameters(), 5.0)
    run.optimizer.step()
    run.average.update(run.policy, budget.step)
    return dict(zip(losses, values))


@torch.no_grad()
def validate(run: Run, frames: int = 512) -> dict[str, float]:
    """Median errors of the averaged weights over held-out episodes; of several arms each one's too, as `koch.held`."""
    device, arms = run.accelerator.device, run.policy.features.arms
    gathered: dict[str, list[torch.Tensor]] = {}
    with run.average.swapped(run.policy):
        run.policy.eval()
        for batch in run.validation.sweep(frames):
            found = run.policy.measure({k: v.to(device) for k, v in batch.items()})
            for number, arm in enumerate(arms):
                found |= {f"{arm.name}.{k}": v[batch["arm"].to(device) == number] for k, v in found.items()
                          if "." not in k}
            for name, values in found.items():
                gathered.setdefault(name, []).append(values)
    out = {}
    for name, parts in gathered.items():
        values = torch.cat(parts)
        out[name] = float(values.mean() if name.endswith("held") else values.nanmedian())
    return out


def practise(run: Run) -> dict[str, float]:
    """What the averaged weights bring about in simulation; nothing in any process but the first."""
    if run.practice is None or not run.accelerator.is_main_process:
        return {}
    with run.average.swapped(run.policy):
        return run.practice.measure(run.policy)


def _note(run: Run, board: Any, entry: dict[str, float]) -> None:
    if not run.accelerator.is_main_process:
        return
    run.curve.add(entry)
    if board is not None:
        for name, value in entry.items():
            board.add_scalar(name, value, int(entry["step"]))


def _board(run: Run) -> Any:
    if not run.config["tensorboard"]:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("tensorboard=true needs TensorBoard: pip install 'steadyhand[tensorboard]'") from error
    return SummaryWriter(str(run.folder / "tensorboard"))


def _short(found: Mapping[str, float]) -> str:
    told = [f"{k} {found[k]:.1f}" for k in ("target_mm", "chunk_mrad") if k in found]
    if "rollout_success" in found:
        told.append(f"rollouts {found['rollout_success']:.0%}")
    return "  ".join(told)


def _finish(run: Run, data: TrainingData, results: dict[str, float]) -> None:
    """The checkpoint, then the card that makes the run complete."""
    option = run.config["policy"][registry.OPTION_KEY]
    checkpoint.save(run.policy, option, run.folder, run.average.weights,
                    trained={"data": data.hash, "seed": run.config["seed"], "steps": run.budget.step})
    card = {
        "data": _about(data) | ({"datasets": [_about(d) for d in data.sources]} if len(data.sources) > 1 else {}),
        "config": run.config, "seed": run.config["seed"], "steps": run.budget.step,
        "seconds": round(run.budget.elapsed, 1), "device": str(run.accelerator.device),
        "processes": run.accelerator.num_processes, "threads": torch.get_num_threads(), "bf16": run.policy.bf16,
        "parameters": sum(p.numel() for p in run.policy.parameters()), "validation": results,
        "versions": output.versions(), "curve": run.curve.path.name,
    }
    output.write_text(run.folder / CARD, json.dumps(card, indent=2) + "\n")
    run_state.discard(run.folder)


def _about(data: TrainingData) -> dict[str, Any]:
    return {"path": str(data.path), "hash": data.hash, "episodes": data.episodes, "frames": len(data),
            "arms": sorted(set(data.robots))}
