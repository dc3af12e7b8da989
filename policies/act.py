"""ACT as LeRobot stores it, for running only: pictures and joint values to a chunk of actions.

Zhao et al. 2023, arXiv:2304.13705. Modules are named as in LeRobot's `model.safetensors`, so that its weights load
as they are; what serves training alone (the VAE's encoder) is not here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}


@dataclass(frozen=True)
class Shape:
    """The sizes of one network, under the names of LeRobot's `config.json`."""

    state: int  # joint values in; 0 when the network is given none
    action: int  # joint targets out
    chunk_size: int = 100
    vision_backbone: str = "resnet18"
    pre_norm: bool = False
    dim_model: int = 512
    n_heads: int = 8
    dim_feedforward: int = 3200
    feedforward_activation: str = "relu"
    n_encoder_layers: int = 4
    n_decoder_layers: int = 1
    latent_dim: int = 32


class Act(nn.Module):
    """Normalised pictures and joint values to normalised actions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        d = shape.dim_model
        self.backbone = ResNet(BLOCKS[shape.vision_backbone])
        self.encoder = Stack(shape, shape.n_encoder_layers, cross=False, norm=shape.pre_norm)
        self.decoder = Stack(shape, shape.n_decoder_layers, cross=True, norm=True)
        self.encoder_latent_input_proj = nn.Linear(shape.latent_dim, d)
        if shape.state:
            self.encoder_robot_state_input_proj = nn.Linear(shape.state, d)
        self.encoder_img_feat_input_proj = nn.Conv2d(512, d, 1)
        self.encoder_1d_feature_pos_embed = nn.Embedding(2 if shape.state else 1, d)
        self.decoder_pos_embed = nn.Embedding(shape.chunk_size, d)
        self.action_head = nn.Linear(d, shape.action)

    def forward(self, state: Tensor, pictures: list[Tensor]) -> Tensor:
        """(B, H, action) from `state` (B, state) and one (B, 3, h, w) for each camera."""
        batch = len(pictures[0])
        latent = pictures[0].new_zeros(batch, self.shape.latent_dim)  # the prior's mean
        tokens = [self.encoder_latent_input_proj(latent)[:, None]]
        if self.shape.state:
            tokens.append(self.encoder_robot_state_input_proj(state)[:, None])
        places = [self.encoder_1d_feature_pos_embed.weight[None]]
        for rgb in pictures:
            features = self.backbone(rgb)
            places.append(_waves(features, self.shape.dim_model))
            tokens.append(self.encoder_img_feat_input_proj(features).flatten(2).transpose(1, 2))
        place = torch.cat(places, 1)
        memory = self.encoder(torch.cat(tokens, 1), place)
        queries = self.decoder_pos_embed.weight[None]
        out = self.decoder(torch.zeros_like(queries).expand(batch, -1, -1), queries, memory, place)
        return self.action_head(out)


class Stack(nn.Module):
    """Transformer layers, and a normalisation after the last one where `norm` is set."""

    def __init__(self, shape: Shape, count: int, cross: bool, norm: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(shape, cross) for _ in range(count))
        self.norm = nn.LayerNorm(shape.dim_model) if norm else nn.Identity()

    def forward(self, x: Tensor, place: Tensor, memory: Tensor | None = None, there: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x = layer(x, place, memory, there)
        return self.norm(x)


class Layer(nn.Module):
    """Attention within a sequence, to another one (`cross`), and a perceptron; each added to what came in.

    Places are added to queries and keys, never to values (Carion et al. 2020, arXiv:2005.12872).
    """

    def __init__(self, shape: Shape, cross: bool) -> None:
        super().__init__()
        d = shape.dim_model
        self.pre_norm, self.activation = shape.pre_norm, ACTIVATIONS[shape.feedforward_activation]
        self.self_attn = nn.MultiheadAttention(d, shape.n_heads, batch_first=True)
        if cross:
            self.multihead_attn = nn.MultiheadAttention(d, shape.n_heads, batch_first=True)
            self.norm3 = nn.LayerNorm(d)
        self.linear1, self.linear2 = nn.Linear(d, shape.dim_feedforward), nn.Linear(shape.dim_feedforward, d)
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)

    def forward(self, x: Tensor, place: Tensor, memory: Tensor | None, there: Tensor | None) -> Tensor:
        x = self._add(self.norm1, x, lambda y: self.self_attn(y + place, y + place, y, need_weights=False)[0])
        last = self.norm2
        if memory is not None and there is not None:
            keys = memory + there
            x = self._add(self.norm2, x,
                          lambda y: self.multihead_attn(y + place, keys, memory, need_weights=False)[0])
            last = self.norm3
        return self._add(last, x, lambda y: self.linear2(self.activation(self.linear1(y))))

    def _add(self, norm: nn.Module, x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        return x + part(norm(x)) if self.pre_norm else norm(x + part(x))


class ResNet(nn.Module):
    """The convolutional part of a ResNet of basic blocks (He et al. 2015, arXiv:1512.03385): 512 channels at 1/32."""

    def __init__(self, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), FrozenNorm(64)
        wide = 64
        for k, count in enumerate(blocks):
            out = 64 * 2**k
            first = Basic(wide, out, 2 if k else 1)
            setattr(self, f"layer{k + 1}", nn.Sequential(first, *(Basic(out, out, 1) for _ in range(count - 1))))
            wide = out

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class Basic(nn.Module):
    """Two 3x3 convolutions beside a short cut."""

    def __init__(self, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(wide, out, 3, stride, 1, bias=False), FrozenNorm(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), FrozenNorm(out)
        same = stride == 1 and wide == out
        self.downsample = None if same else nn.Sequential(nn.Conv2d(wide, out, 1, stride, bias=False), FrozenNorm(out))

    def forward(self, x: Tensor) -> Tensor:
        short = x if self.downsample is None else self.downsample(x)
        return F.relu(short + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class FrozenNorm(nn.Module):
    """Batch normalisation with statistics that never change."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=1e-5)


def _waves(features: Tensor, size: int) -> Tensor:
    """(1, h w, `size`): where each cell of a map (B, C, h, w) is, as sines and cosines of its row, then its column."""
    half = size // 2
    steps = torch.arange(half, device=features.device)
    rate = 10000.0 ** (-2.0 * (steps // 2) / half)
    out = []
    for count in features.shape[-2:]:
        turn = 2 * torch.pi * torch.arange(1, count + 1, device=features.device) / (count + 1e-6)
        angle = turn[:, None] * rate
        out.append(torch.where(steps % 2 == 0, angle.sin(), angle.cos()))
    rows, columns = (part.expand(*features.shape[-2:], -1) for part in (out[0][:, None], out[1][None]))
    return torch.cat([rows, columns], -1).flatten(0, 1)[None].to(features.dtype)
