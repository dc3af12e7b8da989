"""From what is known of a scene to a chunk: heads that each plan one.

What their numbers mean is `policy.action`, what they learn by is `policy.loss`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from policies import flow
from policies.base import Batch
from policies.by_arm import Which
from policies.encoders import MLP
from robot.errors import ConfigError

ACTIONS = ("delta", "absolute")  # arm joints from where they are, or from the middle of the data
LOSSES = ("l1", "l2", "flow")
DELTA = 0.1  # rad, the scale of a chunk's joint deltas
OFFSET = 0.05  # m, the scale of an offset from a mix of places
MISS = 0.02  # m, the unit of a tool place's error
ANCHORS = 3

Plan = tuple[Tensor, Tensor]  # postures (K, B, H, J) rad and tool places (K, B, H, 3) m of K heads


class Now(NamedTuple):
    """What a chunk begins with."""

    x: Tensor  # (B, N) all that the heads are told
    q: Tensor  # (B, J) rad
    anchors: Tensor  # (B, 3, 3) m: the tool's place, the target's, the goal's
    turn: Tensor  # (B, 3, 3) the tool's rotation
    arm: Which = 0


class Planner(nn.ModuleList):
    """K `heads` from N = `size_in` numbers to H = `horizon` rows of J joint angles and a tool place each.

    `mean` and `std` (J,) rad are of the joints in the data, (arms, J) where these are of several arms. `loss` is the
    mean absolute (l1) or squared (l2) error, or flow matching (flow), which runs in `steps` steps from noise that
    belongs to the weights, so that the same observation has the same plan. All heads begin with the same noise: their
    spread is what they disagree in.
    """

    def __init__(self, size_in: int, hidden: int, depth: int, heads: int, horizon: int,
                 mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor, action: str = "delta",
                 loss: str = "l1", steps: int = 5) -> None:
        _check(action, loss, steps)
        middle, whole = (torch.as_tensor(given, dtype=torch.float32).clone() for given in (mean, std))
        joints = middle.shape[-1]
        size_in += flow.size(horizon, joints + 3) if loss == "flow" else 0
        super().__init__(MLP(size_in, hidden, horizon * (joints + ANCHORS + 6), depth) for _ in range(heads))
        self.horizon, self.action, self.loss, self.steps = horizon, action, loss, steps
        scale = torch.cat([torch.full_like(whole[..., :-1], DELTA), whole[..., -1:]], -1)
        self.register_buffer("mean", middle, persistent=False)
        self.register_buffer("scale", scale, persistent=False)  # rad, the unit of a posture's error
        self.register_buffer("unit", scale if action == "delta" else whole, persistent=False)  # rad, of what heads say
        if loss == "flow":
            self.register_buffer("start", torch.randn(horizon, joints + 3))

    def forward(self, now: Now) -> Plan:
        """What every head plans."""
        if self.loss != "flow":
            return self._decode(torch.stack([head(now.x) for head in self]), now)
        noisy = self.start.expand(len(self), len(now.q), -1, -1)
        for step in range(self.steps):
            time = torch.full((len(self), len(now.q), 1, 1), step / self.steps, device=noisy.device)
            plan = self._end(now, noisy, time)
            noisy = noisy + flow.velocity(self._encode(plan, now), noisy, time) / self.steps
        return plan  # which is where the last step arrives

    def losses(self, now: Now, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean errors over the real rows of `batch`, of postures and of tool places.

        Postures are in units of the delta scale and the gripper's spread, tool places in 2 cm; velocities are per time
        of whole lines, in the units of what the heads say, tool places in those of an offset.
        """
        joints = now.q.shape[-1]
        if self.loss == "flow":
            clean = self._encode((batch["action"], batch["tool"]), now)
            noise, time = flow.draw(clean, len(self), generator)
            noisy = flow.between(noise, clean, time)
            end = self._encode(self._end(now, noisy, time), now)
            off = (flow.velocity(end, noisy, time) - (clean - noise)).square()
            error, miss = off[..., :joints].mean(-1), off[..., joints:].mean(-1)
        else:
            (posture, place), power = self(now), 2 if self.loss == "l2" else 1
            size = torch.square if self.loss == "l2" else torch.abs
            error = size((posture - batch["action"]) / self._of(self.scale, now)).mean(-1)
            miss = size(place - batch["tool"]).mean(-1) / MISS**power
        mask = batch["mask"].to(error.dtype) * len(self) / (batch["mask"].sum() * len(self)).clamp(min=1)
        return {"chunk": (error * mask).sum(), "tool": (miss * mask).sum()}

    def _end(self, now: Now, noisy: Tensor, time: Tensor) -> Plan:
        """Where each head believes that the lines end which are at `noisy` (K, B, H, J + 3) at `time` (K, B, 1, 1)."""
        told = flow.told(noisy, time)
        raw = torch.stack([head(torch.cat([now.x, more], -1)) for head, more in zip(self, told)])
        return self._decode(raw, now)

    def _zero(self, now: Now) -> Tensor:
        """(B, 1, J) rad: the posture that a head means by zeros."""
        q, mean = now.q[:, None], self._of(self.mean, now)
        if self.action == "absolute":
            return mean.expand_as(q)
        return torch.cat([q[..., :-1], mean[..., -1:].expand_as(q[..., -1:])], -1)

    def _of(self, table: Tensor, now: Now) -> Tensor:
        """What `table`, (J,) or (arms, J), has for the arm of each sample: (J,), (1, J) or (B, 1, J)."""
        return table if table.ndim == 1 else table[now.arm][..., None, :]

    def _decode(self, raw: Tensor, now: Now) -> Plan:
        """Plans from what heads say (K, B, H (J + 9)).

        A tool place is a mix of where the tool is, the target and the goal, plus an offset in the base frame and one
        in the tool's: arriving precisely is then what is easy to learn.
        """
        raw, joints = raw.unflatten(-1, (self.horizon, -1)), now.q.shape[-1]
        posture, mix, base, tool = raw.split([joints, ANCHORS, 3, 3], -1)
        offset = base + tool @ now.turn.transpose(-1, -2)
        place = torch.softmax(mix, -1) @ now.anchors + OFFSET * offset
        return self._zero(now) + self._of(self.unit, now) * posture, place

    def _encode(self, plan: Plan, now: Now) -> Tensor:
        """Plans as the numbers that noise is mixed with (…, B, H, J + 3): about as large as the noise is."""
        posture, place = plan
        posture = (posture - self._zero(now)) / self._of(self.unit, now)
        return torch.cat([posture, (place - now.anchors[:, :1]) / OFFSET], -1)


def _check(action: str, loss: str, steps: int) -> None:
    for key, value, known in (("action", action, ACTIONS), ("loss", loss, LOSSES)):
        if value not in known:
            raise ConfigError(f"policy.{key}={value} must be one of: {', '.join(known)}")
    if not 1 <= steps <= flow.MOST:
        raise ConfigError(f"policy.flow_steps={steps} must be between 1 and {flow.MOST}")
