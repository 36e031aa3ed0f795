"""The lower blocks of Whisper base, frozen, and our linear heads on them.

`veracity.install.graphs.whisper` describes it and builds the graph that is served, of OpenAI's weights, which
`veracity.install.graphs.ctranslate2` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from veracity.install.graphs.mel import fourier, mel_filters
from veracity.install.graphs.whisper import BANDS, HEADS, HOP, LEVEL, SIZE, STAGES, STATISTICS, WIDTH, names

FAMILIES = 4  # of fakes, by `training.audio.families`


class LogMel(nn.Module):
    """Sound within ±1, float32 [batch, n] → Whisper's log-mel spectrogram [batch, 80, n // 160]."""

    basis: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        basis = fourier(SIZE, np.hanning(SIZE + 1)[:-1])
        self.register_buffer("basis", torch.from_numpy(basis[:, None].astype(np.float32)), persistent=False)
        filters = mel_filters(BANDS, SIZE).astype(np.float32)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        padded = functional.pad(sound.unsqueeze(1), (SIZE // 2, SIZE // 2), mode="reflect")
        real, imaginary = functional.conv1d(padded, self.basis, stride=HOP)[..., :-1].chunk(2, dim=1)
        power = self.filters @ (real.square() + imaginary.square())
        log_power = power.clamp(min=1e-10).log10()
        floor = log_power.amax((1, 2), keepdim=True) - 8.0  # 80 dB below the loudest
        return (torch.maximum(log_power, floor) + 4.0) / 4.0


class Block(nn.Module):
    """A transformer block: attention, then two linear layers, with residual connections: [batch, tokens, 512]."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
        self.attention_out = nn.Linear(WIDTH, WIDTH)
        self.feed_norm = nn.LayerNorm(WIDTH)
        self.feed_in = nn.Linear(WIDTH, 4 * WIDTH)
        self.feed_out = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:  # noqa: D102  # the class says it
        tokens = tokens + self.attention_out(self._attend(self.query_key_value(self.attention_norm(tokens))))
        answer: Tensor = tokens + self.feed_out(functional.gelu(self.feed_in(self.feed_norm(tokens))))
        return answer

    def _attend(self, joined: Tensor) -> Tensor:
        query, key, value = joined.unflatten(2, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
        answer = functional.scaled_dot_product_attention(query, key, value)
        return answer.transpose(1, 2).flatten(2)


class WhisperEncoder(nn.Module):
    """Sound within ±1, float32 [batch, n] of at most 30 s → statistics of the blocks over time [batch, 2 · 3 · 512].

    Of each block the mean; the mean distance from one token to the next, the change within 20 ms; and from the mean.
    Only as many of the 1,500 positions are used as there are tokens: no silence is appended.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_mel = LogMel()
        self.conv1 = nn.Conv1d(BANDS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(1500, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(STAGES))

    def stages(self, sound: Tensor) -> list[Tensor]:
        """The output of the convolutions, and of each block: [batch, n / 320, 512] each."""
        # clamp, as the exporter takes `+ 1e-8` for `+ 0`
        level = sound.square().mean(1, keepdim=True).clamp(min=1e-8).sqrt()
        maps = functional.gelu(self.conv1(self.log_mel(LEVEL * sound / level)))
        maps = functional.gelu(self.conv2(maps)).transpose(1, 2)
        stages = [maps + self.positions[: maps.shape[1]]]
        for block in self.blocks:
            stages.append(block(stages[-1]))
        return stages

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return self.moments(sound).mean(1)

    def moments(self, sound: Tensor) -> Tensor:
        """Per token the values whose mean are the statistics: [batch, n / 320, 2 · 3 · 512]."""
        stages = self.stages(sound)[1:]
        return torch.cat([part for stage in stages for part in (stage, _moves(stage), _apart(stage))], dim=2)


def _moves(stage: Tensor) -> Tensor:
    """How far each token is from the one before; the first, which has none, is given the mean."""
    steps = (stage[:, 1:] - stage[:, :-1]).abs()
    return torch.cat([steps.mean(1, keepdim=True), steps], dim=1)


def _apart(stage: Tensor) -> Tensor:
    """How far each token is from the mean."""
    return (stage - stage.mean(1, keepdim=True)).abs()


class WhisperHead(nn.Module):
    """Statistics of the encoder [batch, 3072] → log odds of fake [batch, 1].

    One linear head for each family of fakes: odds of any of them are the sum of theirs. `usual` and `scale` bring the
    statistics to mean 0 and deviation 1.
    """

    usual: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("usual", torch.zeros(STATISTICS))
        self.register_buffer("scale", torch.ones(STATISTICS))
        self.outer = nn.Linear(STATISTICS, FAMILIES)

    def standardise(self, statistics: Tensor) -> None:
        """Takes mean and deviation from the training set."""
        self.usual.copy_(statistics.mean(0))
        self.scale.copy_(statistics.std(0) + 1e-3)

    def standard(self, statistics: Tensor) -> Tensor:
        """The statistics at mean 0 and deviation 1."""
        return (statistics - self.usual) / self.scale

    def forward(self, statistics: Tensor) -> Tensor:  # noqa: D102  # the class says it
        logit: Tensor = self.outer(self.standard(statistics)).logsumexp(1, keepdim=True)
        return logit


def encoder(variables: Mapping[str, npt.NDArray[np.floating[Any]]]) -> WhisperEncoder:
    """The encoder with Whisper's weights, frozen; `variables` are those of `veracity.install.graphs.ctranslate2`."""
    net = WhisperEncoder()
    state = {_name(ours): theirs for ours, theirs in names().items()}
    state["positions"] = "encoder/position_encodings/encodings"
    net.load_state_dict({name: torch.from_numpy(variables[it].astype(np.float32)) for name, it in state.items()})
    net.eval().requires_grad_(False)
    return net


def _name(ours: str) -> str:
    """`feed_in_weight2` of the graph is `blocks.1.feed_in.weight` here."""
    part, _, kind = ours.rpartition("_")
    return f"{part}.{kind}" if not kind[-1].isdigit() else f"blocks.{int(kind[-1]) - 1}.{part}.{kind[:-1]}"
