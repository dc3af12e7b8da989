"""The policy that looks before it acts: find the named things in each picture, place them, then plan a chunk.

Pictures and words become heatmaps for the target and the goal; heatmap positions, joint angles and picture
features become metres; metres and joint angles become a chunk of joint targets. Every stage has its own free
label from simulation, so each learns from what it alone should explain, and the last two also learn from
cheap pictureless rows by the thousand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from policies import elsewhere, heatmaps, votes
from policies.augment import augment, warp
from policies.base import Batch, ChunkPolicy, Inputs, pictures
from policies.by_arm import ByArm, Which, neighbours
from policies.encoders import MLP, Eye, Language, Names, misheard, renamed
from policies.episode import Episode
from policies.features import PAD, Features
from policies.kinematics import Chain
from policies.planner import Now, Planner
from policies.reference import Reference
from policies.sight import MISS_UV, Body, Place, Sight
from robot.interfaces import Chunk, Observation
from robot.registry import option

THINGS = ("target", "goal")
CM, DM = 100.0, 10.0
AGREE = 0.05  # m, how far apart two cameras may place the same thing
MISSES = 0.005  # of the picture, by which eyes miss what they find


class Located(NamedTuple):
    """Where target and goal are."""

    rough: Tensor  # (B, 6) m, from pixels alone
    fine: Tensor  # (B, 6) m, refined by what was seen
    alone: Tensor  # (B, 3) m, the target as the first camera alone has it
    pixels: Tensor  # (B, 2, 3 cameras), see `Sight.pixels`
    off: dict[str, Tensor]  # by camera (B, 3), how far it is off


@option("policy", "grounded")
class Grounded(ChunkPolicy):
    """Grounded chunk policy. H = `horizon` rows of J joint targets; `heads` chunk heads give the uncertainty."""

    def __init__(self, features: Features, horizon: int = 16, width: int = 32, fine: int = 3, coarse: int = 3,
                 hidden: int = 256, depth: int = 3, heads: int = 3, noise_mm: float = 5.0,
                 noise_rad: float = 0.02, augmentation: float = 1.0, apart: float = 0.5,
                 blind: float = 0.0, match: int = 0, action: str = "delta", loss: str = "l1",
                 flow_steps: int = 5, recalibrate: bool = False, triangulate: bool = False,
                 recalibrate_carried: bool = False, search_mm: float = 5.0, still: bool = True) -> None:
        """`blind` is the share of training samples in which one of several cameras is black: a policy that learned
        that works on when a camera fails. `match` is the size of the vectors by which names and cells of a picture
        are compared; with 0 they are not, and what words mean has to be learned from what was asked for alone. Chunks
        are of joint angles as `action` says, delta or absolute, and learned by `loss`: l1, l2, or flow, which takes
        `flow_steps` to draw one. `recalibrate` finds the tool in the pictures of cameras that stand still, and sets
        right what they see by how far it is from where it should be; `recalibrate_carried` does with those that the
        tool carries, which see their own fingers. `triangulate` places a thing that several cameras
        see where their rays cross. At work, when nothing gets better, things are taken to lie `search_mm` beside where
        they are seen, and further each time; 0 never. `still` says that goals do not move: then the places at which an
        episode's looks found the goal have votes on which it is."""
        arguments = {k: v for k, v in locals().items() if k not in ("self", "features", "__class__")}
        super().__init__(features, horizon, arguments)
        self.meaning = f"action={action}, loss={'flow' if loss == 'flow' else 'l1 or l2'}"
        self.noise_m, self.noise_rad, self.still = noise_mm / 1000, noise_rad, still
        self.search_m = search_mm / 1000
        self._episode = Episode(self.search_m)
        self.augmentation, self.apart, self.blind = augmentation, apart, blind
        words, joints, cameras = 64, len(features.joints), len(features.cameras)
        summary = 32
        self.language = Language(len(features.words), words)
        self.eyes = nn.ModuleDict({c: Eye(width, words, fine, coarse, summary, match) for c in features.cameras})
        self.names = Names(len(features.words), match, len(THINGS)) if match else None
        self.maps = nn.ModuleDict({c: nn.Conv2d(width, len(THINGS), 1) for c in features.cameras})
        self.seen = nn.ModuleDict({c: MLP(summary + 2 * width + 2, 64, len(THINGS), 1) for c in features.cameras})
        builds, pixels = features.builds, 3 * cameras
        carried = [c for k, c in enumerate(features.cameras) if any(b.carried[k] for b in builds)]
        standing = [c for c in features.cameras if c not in carried] * recalibrate
        bent = carried * recalibrate_carried
        self.marked = dict.fromkeys(standing, "recalibrate") | dict.fromkeys(bent, "recalibrate_carried")
        self.tool = nn.ModuleDict({c: Reference(width, summary) for c in self.marked})
        body = 3 * joints + 12 + (len(builds) if len(builds) > 1 else 0)
        looks = cameras * (summary + 2 * width)
        self.chain = ByArm(Chain(b.chain) for b in builds)
        self.sight = Sight(features.cameras, builds, triangulate)
        self.place = nn.ModuleDict({t: Place(body, cameras, len(standing), len(bent), triangulate) for t in THINGS})
        self.refine = nn.ModuleDict({t: MLP(pixels + body + looks, 128, 3, 1) for t in THINGS})
        self.status = MLP(looks + body + joints + 2 * pixels, 128, 5 + features.phases, 1)
        size_in = 6 + 9 + 2 + 1 + body + joints + words
        mean, std = (torch.tensor([getattr(b, k) for b in builds], dtype=torch.float32).squeeze(0)
                     for k in ("q_mean", "q_std"))
        self.heads = Planner(size_in, hidden, depth, heads, horizon, mean, std, action, loss, flow_steps)
        for part in (*self.place.values(), *self.refine.values(), *self.heads):
            nn.init.zeros_(part.last.bias)
        for part in self.refine.values():
            nn.init.zeros_(part.last.weight)
        self.register_buffer("q_mean", mean)  # (J,), or (arms, J) of several
        self.register_buffer("q_std", std)

    # ------------------------------------------------------------ stages
    def hear(self, words: Tensor) -> dict[str, Tensor]:
        """`said` (B, W), what is to be done, and with `match` what the things look like that are `asked` for."""
        return {"said": self.language(words), **({"asked": self.names(words)} if self.names is not None else {})}

    def look(self, batch: Batch, words: Tensor, asked: Tensor | None) -> dict[str, Tensor]:
        """Heatmap logits `map.<camera>` (B, 2, h, w), `seen.<camera>` logits (B, 2), positions and `looks`; of cameras
        that are set right by the tool `tool.<camera>` (B, h, w), `tool_uv.<camera>`, `tool_seen.<camera>` (B,) logits.

        Pictures are uint8 (B, H, W, 3), or floats (B, 3, H, W) that were prepared already.
        """
        out: dict[str, Tensor] = {}
        looks = []
        for camera, eye in self.eyes.items():
            rgb = batch[f"images.{camera}"]
            rgb = pictures(batch, camera) if rgb.dtype == torch.uint8 else rgb
            with torch.autocast(rgb.device.type, torch.bfloat16, enabled=self.bf16):
                features, summary, keys = eye(rgb.contiguous(memory_format=torch.channels_last), words)
            features, summary = features.float(), summary.float()
            logits = self.maps[camera](features)
            if asked is not None:
                out[f"keys.{camera}"] = keys.float()
                logits = logits + alike(asked, out[f"keys.{camera}"])
            uv, out[f"mass.{camera}"] = heatmaps.read(logits)
            out[f"uv.{camera}"] = uv
            parts = torch.cat([summary, heatmaps.sample(features, uv.detach()).flatten(1)], -1)
            peaks = logits.flatten(2).amax(-1).detach()
            out[f"map.{camera}"], out[f"seen.{camera}"] = logits, self.seen[camera](torch.cat([parts, peaks], -1))
            looks.append(parts)
            if camera in self.tool:
                for name, found in zip(("tool", "tool_uv", "tool_seen"), self.tool[camera](features, summary)):
                    out[f"{name}.{camera}"] = found
        out["looks"] = torch.cat(looks, -1)
        return out

    def scales(self, arm: Which) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the joints, rad: (J,), or (B, J) where every sample has its own arm."""
        several = len(self.features.builds) > 1
        return (self.q_mean[arm], self.q_std[arm]) if several else (self.q_mean, self.q_std)

    def body(self, q: Tensor, arm: Which) -> Body:
        """What the arm knows of itself, 3 J + 12 numbers, and of several which it is besides."""
        (turn, tip), (mean, std), count = self.chain(arm, q), self.scales(arm), len(self.features.builds)
        known = [(q - mean) / std, torch.sin(q), torch.cos(q), turn.flatten(1), tip * DM]
        if count > 1:
            known.append(torch.eye(count, device=q.device)[arm].expand(len(q), -1))
        return Body(torch.cat(known, -1), turn, tip)

    def locate(self, seen: dict[str, Tensor], body: Body, arm: Which) -> Located:
        """Where both things are, by what was seen."""
        off = self.sight.off({c: seen[f"tool_uv.{c}"] for c in self.tool},
                             {c: torch.sigmoid(seen[f"tool_seen.{c}"]) for c in self.tool}, body, arm)
        uv = self.sight.right([seen[f"uv.{c}"] for c in self.eyes], off, body, arm)
        sure = [torch.sigmoid(seen[f"seen.{c}"]) for c in self.eyes]
        if self.sight.crosses and not self.training:
            sure = self.sight.agreed(uv, sure, [seen[f"mass.{c}"] for c in self.eyes], body, arm)
        pixels = self.sight.pixels(uv, sure)
        *rough, alone = self._places(pixels, off, body, arm)
        fine = [place + self.refine[t](torch.cat([pixels[:, k], body.known, seen["looks"]], -1)) / DM
                for k, (t, place) in enumerate(zip(THINGS, rough))]
        return Located(torch.cat(rough, -1), torch.cat(fine, -1), alone, pixels, off)

    def _places(self, pixels: Tensor, off: Mapping[str, Tensor], body: Body, arm: Which) -> list[Tensor]:
        """By `pixels` (B, 2, 3 cameras) the places (B, 3) m of both things, and of the target by the first camera
        alone."""
        unseen = torch.tensor([0.0, 0.0, -1.0], device=pixels.device).repeat(len(self.eyes) - 1)
        first = torch.cat([pixels[:, :1, :3], unseen.expand(len(pixels), 1, -1)], -1)
        met = self.sight.met(torch.cat([pixels, first], 1), body, arm)
        target, goal = (part.find(met.of(slice(k, None, 2)), off, body) for k, part in enumerate(self.place.values()))
        return [target[:, 0], goal[:, 0], target[:, 1]]

    def _settled(self, found: Located, held: Tensor) -> Tensor:
        """Places (B, 6) m, with the target where the first camera alone sees it if that is quite elsewhere.

        The wrist camera is the more precise one near a thing, and the one that takes something else for it; what
        is held (B, 1) is its to see.
        """
        target, goal = found.fine.split(3, -1)
        apart = (target - found.alone).norm(dim=-1, keepdim=True) > AGREE
        sure = apart & (found.pixels[:, 0, 2:3] > 0) & (held < 0.5)
        return torch.cat([torch.where(sure, found.alone, target), goal], -1)

    def now(self, places: Tensor, yaw: Tensor, held: Tensor, q: Tensor, body: Body, effort: Tensor, words: Tensor,
            arm: Which) -> Now:
        """What a chunk is planned from: places (B, 6) m, yaw (B, 2), held (B, 1), q and effort (B, J), and words."""
        known, turn, tip = body
        anchors = torch.stack([tip, places[:, :3], places[:, 3:]], 1)
        apart = (anchors[:, 1:] - tip[:, None]) @ turn
        x = torch.cat([places * DM, apart.flatten(1) * 2 * DM, (places[:, :3] - places[:, 3:]) * DM, yaw, held * 2 - 1,
                       known, effort.clamp(-2, 2), words], -1)
        return Now(x, q, anchors, turn, arm)

    # ------------------------------------------------------------ training
    def forward(self, frames: Batch, rows: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        frames = self._prepare(frames, generator)
        if "names" in frames:
            frames["words"] = misheard(frames["words"], frames["names"], generator)
        words = self.language(frames["words"], generator)
        seen = self.look(frames, words, self.names(frames["words"]) if self.names is not None else None)
        losses = self._grounding_losses(seen, frames)
        if self.names is not None and "names" in frames:
            losses["names"] = self._name_loss(self.names.of(frames["names"]), seen, frames)
            losses["point"] = self.names.loss(frames["words"], frames["pointed"])
        calm = slice(self._warped(frames), None)
        seen, words = {k: v[calm] for k, v in seen.items()}, words[calm]
        frames = {k: v[calm] for k, v in frames.items()}
        arm = self._arm(frames)
        body = self.body(frames["state"], arm)
        found = self.locate(seen, body, arm)
        status = self._status(seen, found, frames, body)
        losses["xyz"] = (_metres(found.fine, frames) + 0.5 * _metres(found.rough, frames))
        losses |= self._status_losses(status, frames)
        now = self.now(found.fine.detach(), status[:, :2].detach(), torch.sigmoid(status[:, 2:3]).detach(),
                       frames["state"], body, frames["effort"], words.detach(), arm)
        losses |= {f"{k}_seen": 0.3 * v for k, v in self.heads.losses(now, frames, generator).items()}
        return losses | self._row_losses(rows, generator)

    def _arm(self, batch: Batch) -> Which:
        """Which arm the samples are of: one for all, or (B,)."""
        return batch.get("arm", self.arm or 0)

    def _warped(self, frames: Batch) -> int:
        """How many of the first pictures of a batch are moved about and asked for other things than their labels
        in metres and actions are of: to be found in, not to be measured by."""
        return int(self.apart * len(frames["state"]))

    def _prepare(self, frames: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The batch with augmented pictures, its first part warped together with its labels."""
        out, n = dict(frames), self._warped(frames)
        for camera in self.eyes:
            rgb = augment(pictures(out, camera), generator, self.augmentation)
            if n:
                keys = _places(out, camera)
                moved, labels = warp(rgb[:n], [out[k][:n] for k in keys], generator, 0.6)
                rgb = torch.cat([moved, rgb[n:]])
                out |= {k: torch.cat([new, out[k][n:]]) for k, new in zip(keys, labels)}
            out[f"images.{camera}"] = rgb
        return self._blinded(out, generator) if self.blind > 0.0 and len(self.eyes) > 1 else out

    @property
    def needs(self) -> Mapping[str, str]:
        return {f"tool_px.{camera}": f"policy.{setting}=false" for camera, setting in self.marked.items()}

    @property
    def spare(self) -> tuple[str, ...]:
        return tuple(self.eyes) if self.blind > 0.0 and len(self.eyes) > 1 else ()

    def _blinded(self, out: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """One camera of some samples is black, and shows nothing that could be seen."""
        device, n = out["state"].device, len(out["state"])
        gone = torch.rand(n, generator=generator, device=device) < self.blind
        which = torch.randint(len(self.eyes), (n,), generator=generator, device=device)
        for k, camera in enumerate(self.eyes):
            well = ~(gone & (which == k))
            out[f"images.{camera}"] = out[f"images.{camera}"] * well[:, None, None, None]
            for key in _places(out, camera):
                label = out[key].clone()
                label[:, 2::3] *= well[:, None]
                out[key] = label
        return out

    def _name_loss(self, looks: Tensor, seen: dict[str, Tensor], frames: Batch) -> Tensor:
        """Every named thing of a picture, whatever was asked for, where it is seen by its name's look (B, S, match)."""
        heat, real = [], (frames["names"] != PAD).any(-1)
        for camera in self.eyes:
            label = frames[f"aux.things_px.{camera}"].unflatten(1, (-1, 3))
            logits = alike(looks, seen[f"keys.{camera}"])
            heat.append(heatmaps.cross_entropy(logits.flatten(0, 1), label[..., :2].flatten(0, 1),
                                               (label[..., 2] * real).flatten()))
        return torch.stack(heat).sum()

    def _grounding_losses(self, seen: dict[str, Tensor], frames: Batch) -> dict[str, Tensor]:
        heat, visible = [], []
        for camera in self.eyes:
            for k, thing in enumerate(THINGS):
                label = frames[f"aux.{thing}_px.{camera}"]
                heat.append(heatmaps.cross_entropy(seen[f"map.{camera}"][:, k], label[:, :2], label[:, 2]))
                visible.append(F.binary_cross_entropy_with_logits(seen[f"seen.{camera}"][:, k], label[:, 2]))
        for camera in self.tool:
            label = frames[f"aux.tool_px.{camera}"]
            heat.append(heatmaps.cross_entropy(seen[f"tool.{camera}"], label[:, :2], label[:, 2]))
            visible.append(F.binary_cross_entropy_with_logits(seen[f"tool_seen.{camera}"], label[:, 2]))
        return {"heat": torch.stack(heat).sum(), "seen": torch.stack(visible).sum()}

    def _status(self, seen: dict[str, Tensor], found: Located, frames: Batch, body: Body) -> Tensor:
        """(B, 5 + phases): yaw (2), then logits of held, progress, success and the phases."""
        effort = frames["effort"].clamp(-2, 2)
        return self.status(torch.cat([seen["looks"], body.known, effort, found.pixels.flatten(1)], -1))

    def _status_losses(self, status: Tensor, frames: Batch) -> dict[str, Tensor]:
        flags = torch.cat([frames["aux.held"], frames["aux.progress"], frames["aux.success"]], -1).clamp(0, 1)
        phase = frames["aux.phase"][:, 0].long().clamp(0, self.features.phases - 1)
        return {"yaw": F.mse_loss(status[:, :2], frames["aux.yaw"]),
                "status": F.binary_cross_entropy_with_logits(status[:, 2:5], flags),
                "phase": 0.3 * F.cross_entropy(status[:, 5:], phase)}

    def _row_losses(self, rows: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """What needs no pictures: places from true pixels, chunks from true places, both with noise.

        What the first camera, which stands still, sees has nothing to do with the arm's pose: some rows are
        given another one, so that "near the tool" is never a good answer.
        """
        q, n, arm = rows["state"], rows["state"].shape[0], self._arm(rows)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, device=q.device)

        camera = next(iter(self.eyes))
        other = torch.rand((n, 1), generator=generator, device=q.device) < 0.3
        own, body = self.body(q, arm), self.body(torch.where(other, neighbours(q, arm), q), arm)
        where = {t: rows[f"aux.{t}_xyz"] for t in THINGS}
        pixels = {f"{t}.{c}": rows[f"aux.{t}_px.{c}"] for t in THINGS for c in self.eyes}
        if self.tool:
            pixels, where = elsewhere.moved(
                pixels | {f"tool.{c}": rows[f"aux.tool_px.{c}"] for c in self.tool}, where | {"tool": own[2]},
                rows["aux.held"] < 0.5, self.sight.named(), arm, own, generator)
        tool = {c: self._mistaken(pixels[f"tool.{c}"], generator) for c in self.tool}
        off = self.sight.off({c: x[:, :2] + MISS_UV * normal(n, 2) for c, x in tool.items()},
                             {c: x[:, 2] for c, x in tool.items()}, own, arm)
        labels = {c: torch.stack([self._mistaken(pixels[f"{t}.{c}"], generator) for t in THINGS], 1) for c in self.eyes}
        labels = {c: x if c == camera else x * ~other[..., None] for c, x in labels.items()}
        uv = self.sight.right([x[..., :2] + MISSES * normal(n, len(THINGS), 2) for x in labels.values()], off, own, arm)
        px = self.sight.pixels(uv, [x[..., 2] for x in labels.values()])
        *rough, _ = self._places(px, off, body, arm)
        said = rows["words"] if self.names is None else renamed(rows["words"], rows["pointed"], generator)
        heard = misheard(said, None, generator)
        words = self.language(heard, generator).detach()
        spread = self.noise_m * torch.rand((n, 1), generator=generator, device=q.device)
        places = torch.cat([rows[f"aux.{t}_xyz"] for t in THINGS], -1) + spread * normal(n, 6)
        shake = torch.cat([normal(n, q.shape[1] - 1), 0.5 * normal(n, 1)], -1)
        moved = q + self.noise_rad * torch.rand((n, 1), generator=generator, device=q.device) * shake
        held = (rows["aux.held"] + 0.1 * normal(n, 1)).clamp(0, 1)
        now = self.now(places, rows["aux.yaw"] + 0.1 * normal(n, 2), held, moved, self.body(moved, arm),
                       rows["effort"] + 0.02 * normal(*q.shape), words, arm)
        truth = {f"aux.{t}_xyz": where[t] for t in THINGS}
        named = {"point_rows": self.names.loss(heard, rows["pointed"])} if self.names is not None else {}
        return {"place": _metres(torch.cat(rough, -1), truth), **named, **self.heads.losses(now, rows, generator)}

    def _mistaken(self, label: Tensor, generator: torch.Generator, share: float = 0.02) -> Tensor:
        """Labels (B, 3) as eyes would give them: a few point somewhere else."""
        dice = torch.rand((len(label), 4), generator=generator, device=label.device)
        wild = torch.cat([dice[:, 1:3], torch.ones_like(dice[:, :1])], -1)
        return torch.where(dice[:, 3:] < share, wild, label)

    # ------------------------------------------------------------ running
    def reset(self, instruction: str) -> None:
        self._episode = Episode(self.search_m)
        super().reset(instruction)

    def act(self, obs: Observation) -> Chunk:
        chunk = super().act(obs)
        self._episode.search.note(obs.stamp, chunk.info["progress"], chunk.info["success"])
        return chunk

    def inputs(self, obs: Observation) -> Inputs:
        so_far = self._episode.inputs(obs.stamp)
        return super().inputs(obs) | {k: v.to(self.q_mean.device) for k, v in so_far.items()}

    def _blank(self) -> Inputs:
        return super()._blank() | Episode(self.search_m).inputs(0.0)

    def infer(self, inputs: Batch) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Chunks (K, B, H, J) rad, places (B, 6) m, status (B, …) and what was seen."""
        heard = inputs if "said" in inputs else self.hear(inputs["words"])
        words, arm = heard["said"], self._arm(inputs)
        seen = self.look(inputs, words, heard.get("asked"))
        body = self.body(inputs["state"], arm)
        found = self.locate(seen, body, arm)
        seen |= {f"off.{camera}": shift for camera, shift in found.off.items()}
        status = self._status(seen, found, inputs, body)
        held = torch.sigmoid(status[:, 2:3])
        places = self._settled(found, held)
        if "memory" in inputs:  # at work
            target, goal = places.split(3, -1)
            if self.still:
                goal, seen["memory"] = votes.elect(inputs["memory"], goal, inputs["votes"])
            places = torch.cat([target, goal], -1) + inputs["aside"]
        now = self.now(places, status[:, :2], held, inputs["state"], body, inputs["effort"], words, arm)
        return self.chain.reach(arm, *self.heads(now)), places, status, seen

    def predict(self, inputs: Inputs) -> tuple[Tensor, Tensor, dict[str, Any]]:
        chunks, places, status, seen = self.inferred(inputs)
        self._episode.memory = seen.get("memory", self._episode.memory)
        spread = chunks[:, :, :, :-1].std(0, correction=0).mean((-1, -2))
        info: dict[str, Any] = {
            "target_xyz": places[0, :3].cpu().numpy(), "goal_xyz": places[0, 3:].cpu().numpy(),
            "held": float(torch.sigmoid(status[0, 2])), "progress": float(torch.sigmoid(status[0, 3])),
            "success": float(torch.sigmoid(status[0, 4])), "phase": int(status[0, 5:].argmax()),
            "spread_rad": float(spread[0]), "aside_mm": 1000 * math.hypot(*self._episode.search.aside),
        }
        for camera in self.eyes:
            heat = torch.softmax(seen[f"map.{camera}"][0].flatten(1), -1).view_as(seen[f"map.{camera}"][0])
            info[f"heatmap.{camera}"] = heat.cpu().numpy()
            info[f"seen.{camera}"] = torch.sigmoid(seen[f"seen.{camera}"][0]).cpu().numpy()
        for camera in self.tool:
            u, v, known = seen[f"off.{camera}"][0].tolist()
            info[f"off_px.{camera}"] = self.features.size * math.hypot(u, v) if known > 0 else math.nan
        return chunks.mean(0), torch.exp(-spread / 0.05), info

    def measure(self, frames: Batch) -> dict[str, Tensor]:
        chunks, places, status, seen = self.infer(frames)
        out = {}
        for k, thing in enumerate(THINGS):
            out[f"{thing}_mm"] = 1000 * (places[:, 3 * k : 3 * k + 3] - frames[f"aux.{thing}_xyz"]).norm(dim=-1)
            for camera in self.eyes:
                label = frames[f"aux.{thing}_px.{camera}"]
                miss = (seen[f"uv.{camera}"][:, k] - label[:, :2]).norm(dim=-1) * self.features.size
                out[f"{thing}_px_{camera}"] = torch.where(label[:, 2] > 0.5, miss, torch.nan)
        for camera in self.tool:
            label = frames[f"aux.tool_px.{camera}"]
            miss = (seen[f"tool_uv.{camera}"] - label[:, :2]).norm(dim=-1) * self.features.size
            out[f"tool_px_{camera}"] = torch.where(label[:, 2] > 0.5, miss, torch.nan)
        error = (chunks.mean(0) - frames["action"]).abs()
        mask = torch.where(frames["mask"], 1.0, torch.nan)[..., None]
        out["chunk_mrad"] = 1000 * (error[..., :-1] * mask).nanmean((1, 2))
        out["gripper_mrad"] = 1000 * (error[..., -1:] * mask).nanmean((1, 2))
        out["held"] = ((status[:, 2] > 0) == (frames["aux.held"][:, 0] > 0.5)).float()
        return out


def _places(batch: Batch, camera: str) -> list[str]:
    """Keys of what is labelled in a camera's pictures: (B, 3 N) of u, v and visibility."""
    keys = [f"aux.{what}_px.{camera}" for what in (*THINGS, "tool", "things")]
    return [key for key in keys if key in batch]


def alike(looks: Tensor, keys: Tensor) -> Tensor:
    """(B, S, h, w): how much every cell of `keys` (B, E, h, w) looks like each of `looks` (B, S, E)."""
    return (looks @ keys.flatten(2)).unflatten(2, keys.shape[-2:])


def _metres(places: Tensor, batch: Batch) -> Tensor:
    """Huber loss in centimetres of places (B, 6) m."""
    truth = torch.cat([batch[f"aux.{t}_xyz"] for t in THINGS], -1)
    return F.smooth_l1_loss(places * CM, truth * CM, beta=0.5)
