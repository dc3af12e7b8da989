"""What turns words and pictures into features: a small GRU, and a convolutional net that keeps its map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from policies.features import PAD, UNKNOWN


class Language(nn.Module):
    """Words (B, L) int64 to one vector (B, `size`): a few weighted means of word embeddings.

    A small GRU reads the order and only chooses the weights, so that a whole phrase cannot stand for the scene
    it once came with. A word is dropped to <unk> at `dropout` in training.
    """

    def __init__(self, words: int, size: int = 64, picks: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = dropout
        self.embed = nn.Embedding(words, 32, padding_idx=PAD)
        self.gru = nn.GRU(32, 24, batch_first=True, bidirectional=True)
        self.choose = nn.Linear(48, picks)
        self.value = nn.Embedding(words, size // picks, padding_idx=PAD)

    def forward(self, words: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Words are dropped only where a `generator` is given to choose them."""
        real = words != PAD
        if generator is not None:
            lost = (torch.rand(words.shape, generator=generator, device=words.device) < self.dropout) & real
            words = torch.where(lost, torch.full_like(words, UNKNOWN), words)
        states, _ = self.gru(self.embed(words))
        weights = self.choose(states).masked_fill(~real[..., None], -1e4).softmax(1)
        return (weights.transpose(1, 2) @ self.value(words)).flatten(1)


def misheard(words: Tensor, names: Tensor | None, generator: torch.Generator, share: float = 0.3) -> Tensor:
    """Words (B, L) as of phrasings never heard: in a `share` of instructions many are unknown, but for those that tell
    one of the `names` (B, S, L) of a scene from the others."""
    dice = torch.rand((len(words), 2), generator=generator, device=words.device)
    often = torch.where(dice[:, :1] < share, dice[:, 1:], 0.0)
    lost = (torch.rand(words.shape, generator=generator, device=words.device) < often) & (words != PAD)
    if names is not None:
        within = (words[:, :, None, None] == names[:, None]).any(-1)  # (B, L, S): a word is in a name
        lost &= within.sum(-1) != 1
    return torch.where(lost, torch.full_like(words, UNKNOWN), words)


def renamed(words: Tensor, pointed: Tensor, generator: torch.Generator, share: float = 0.5) -> Tensor:
    """Words (B, L) in which a `share` of the things that are `pointed` at (B, L, `things`) have another sample's name.

    So that which words name what does not hang on the things that such a phrasing once came with. Names are changed
    for some of as many words; an instruction that would name two things alike stays as it is.
    """
    count, things = len(words), pointed.shape[-1]
    length, rank = pointed.sum(1), (pointed.cumsum(1) - 1).clamp(min=0)  # (B, things), (B, L, things)
    names = words.new_full((count, words.shape[1], things), PAD)
    names = names.scatter_add(1, rank, torch.where(pointed, words[..., None], 0))  # (B, L, things), words in a row
    other = torch.randint(count, (count, things), generator=generator, device=words.device)
    fits = (length > 0) & (length[other, 0] == length)  # of another's target, be it for a goal
    swap = fits & (torch.rand((count, things), generator=generator, device=words.device) < share)
    new = torch.where(swap[:, None], names[other, :, 0].mT, names)
    alike = (new[..., :1] == new[..., 1:]).all(1).any(-1) & (length > 0).all(-1)
    said = torch.where(pointed, new.gather(1, rank), 0).sum(-1)
    return torch.where(pointed.any(-1) & ~alike[:, None], said, words)


class Names(nn.Module):
    """What things look like by their names: words (…, L) to vectors of `size` that an eye's keys are compared with.

    A name's look is the mean of its words', so that a colour learned with one shape is known with every other. Which
    words of an instruction name what it asks for, a small GRU decides. Unknown words look like nothing.
    """

    def __init__(self, words: int, size: int, things: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 32, padding_idx=PAD)
        self.gru = nn.GRU(32, 24, batch_first=True, bidirectional=True)
        self.point = nn.Linear(48, things)
        self.look = nn.Embedding(words, size, padding_idx=PAD)

    def forward(self, words: Tensor) -> Tensor:
        """(B, `things`, `size`): the looks of the things that instructions (B, L) ask for."""
        return self._weights(words).softmax(1).transpose(1, 2) @ self.look(_known(words))

    def _weights(self, words: Tensor) -> Tensor:
        """(B, L, `things`) logits: how much each word names each thing."""
        words = _known(words)
        return self.point(self.gru(self.embed(words))[0]).masked_fill((words == PAD)[..., None], -1e4)

    def loss(self, words: Tensor, pointed: Tensor) -> Tensor:
        """Cross-entropy of what words (B, L) point at with what they are said to, `pointed` (B, L, `things`) bool."""
        truth = (pointed & (_known(words) != PAD)[..., None]).float()
        count = truth.sum(1)
        each = -(truth * self._weights(words).log_softmax(1)).sum(1) / count.clamp(min=1)
        return each.sum() / (count > 0).sum().clamp(min=1)

    def of(self, names: Tensor) -> Tensor:
        """(…, `size`): the looks of things of these `names` (…, L), which are nothing but names."""
        names = _known(names)
        return self.look(names).sum(-2) / (names != PAD).sum(-1, keepdim=True).clamp(min=1)


def _known(words: Tensor) -> Tensor:
    return words.masked_fill(words == UNKNOWN, PAD)


class Block(nn.Module):
    """A residual 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.conv(x), inplace=True)


class Film(nn.Module):
    """A 3x3 convolution whose output is scaled and shifted, channel by channel, by the instruction."""

    def __init__(self, channels: int, language: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(language, 2 * channels)
        nn.init.normal_(self.film.weight, std=0.02)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, language: Tensor) -> Tensor:
        scale, shift = self.film(language).to(x.dtype).unsqueeze(-1).unsqueeze(-1).chunk(2, 1)
        return x + F.relu((self.conv(x) * (1 + scale)).add_(shift), inplace=True)


class Eye(nn.Module):
    """One camera's pictures (B, 3, S, S) in [0, 1] to a map (B, `width`, S/4, S/4) and a coarse vector.

    Fine cells keep position to a fraction of 4 px; a branch at a quarter of that resolution sees the whole
    picture and is added back, so that language and context reach every cell. With `keys` above 0 every cell also has
    a vector (B, `keys`, S/4, S/4) that tells, whatever was asked, what is there.
    """

    def __init__(self, width: int, language: int, fine: int = 3, coarse: int = 3, summary: int = 32,
                 keys: int = 0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, stride=4)
        self.place = nn.Conv2d(4, width, 1, bias=False)
        self.before = nn.ModuleList(Block(width) for _ in range(fine))
        self.down = nn.Conv2d(width, 2 * width, 4, stride=4)
        self.coarse = nn.ModuleList(Film(2 * width, language) for _ in range(coarse))
        self.up = nn.Conv2d(2 * width, width, 1)
        self.after = nn.ModuleList(Film(width, language) for _ in range(fine))
        self.norm = nn.GroupNorm(1, width)
        self.summary = nn.Linear(2 * width, summary)
        self.keys = nn.Conv2d(width, keys, 1) if keys else None

    def forward(self, rgb: Tensor, language: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        black = self.stem.weight.sum((1, 2, 3)) / 2  # of pictures around 0, without a copy of them
        x = F.conv2d(rgb, self.stem.weight, self.stem.bias - black, stride=4)
        x = F.relu(x + self.place(_coordinates(x)), inplace=True)
        for block in self.before:
            x = block(x)
        keys = self.keys(x) if self.keys is not None else None
        y = F.relu(self.down(x), inplace=True)
        for block in self.coarse:
            y = block(y, language)
        x = x + F.interpolate(self.up(y), size=x.shape[-2:], mode="nearest")
        for block in self.after:
            x = block(x, language)
        return self.norm(x), self.summary(y.float().mean((2, 3))), keys


def _coordinates(x: Tensor) -> Tensor:
    """(1, 4, H, W): u, v and their squares in [-1, 1], for maps like `x`."""
    v = torch.linspace(-1, 1, x.shape[-2], device=x.device, dtype=x.dtype)
    u = torch.linspace(-1, 1, x.shape[-1], device=x.device, dtype=x.dtype)
    v, u = torch.meshgrid(v, u, indexing="ij")
    grid = torch.stack([u, v, u * u, v * v])[None]
    return grid.contiguous(memory_format=torch.channels_last)


class MLP(nn.Module):
    """Residual perceptron: (…, `size_in`) to (…, `size_out`) through `depth` hidden layers of `width`."""

    def __init__(self, size_in: int, width: int, size_out: int, depth: int = 2) -> None:
        super().__init__()
        self.first = nn.Linear(size_in, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.last = nn.Linear(width, size_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for norm, layer in zip(self.norms, self.hidden):
            x = x + F.silu(layer(norm(x)))
        return self.last(x)
