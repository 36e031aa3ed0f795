"""AASIST and AASIST-L: graph attention over the spectral and the temporal features of raw samples.

Weights and code are MIT. Written afresh from the network's published interface (key names, shapes, constants).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.published.sound import SincFilters

_FILTERS, _TAPS = 70, 128
_BANDS = _FILTERS // 3  # left by the first pooling: the nodes of the spectral graph
_WIDTH = 32  # of the first two blocks, and of the joint graphs
_HEAT, _JOINT_HEAT = 2.0, 100.0  # temperatures of the attention


class Block(nn.Module):
    """Residual convolutions, [batch, channels_in, bands, frames] → [batch, channels_out, bands, frames / 3].

    All but the first were published with a batch norm whose result is thrown away: it has weights and no effect.
    """

    def __init__(self, channels_in: int, channels_out: int, first: bool = False) -> None:
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, (2, 3), padding=(1, 1))
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, (2, 3), padding=(0, 1))
        self.conv_downsample = None
        if channels_in != channels_out:
            self.conv_downsample = nn.Conv2d(channels_in, channels_out, (1, 3), padding=(0, 1))

    def forward(self, maps: Tensor) -> Tensor:  # noqa: D102  # the class says it
        beside = maps if self.conv_downsample is None else self.conv_downsample(maps)
        return functional.max_pool2d(self.conv2(functional.selu(self.bn2(self.conv1(maps)))) + beside, (1, 3))


class NodeNorm(nn.BatchNorm1d):
    """Batch norm of each feature, over nodes [batch, nodes, features]."""

    def forward(self, nodes: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return super().forward(nodes.transpose(1, 2)).transpose(1, 2)


class Attention(nn.Module):
    """Every node attends to every other, [batch, nodes, features_in] → [batch, nodes, features_out]."""

    def __init__(self, features_in: int, features_out: int, heat: float) -> None:
        super().__init__()
        self.att_proj = nn.Linear(features_in, features_out)
        self.att_weight = nn.Parameter(torch.zeros(features_out, 1))
        self.proj_with_att = nn.Linear(features_in, features_out)
        self.proj_without_att = nn.Linear(features_in, features_out)
        self.bn = NodeNorm(features_out)
        self.heat = heat

    def forward(self, nodes: Tensor) -> Tensor:  # noqa: D102  # the class says it
        scores = (torch.tanh(self.att_proj(_products(nodes))) @ self.att_weight).squeeze(3)
        seen = torch.softmax(scores / self.heat, dim=2) @ nodes
        return functional.selu(self.bn(self.proj_with_att(seen) + self.proj_without_att(nodes)))


class JointAttention(nn.Module):
    """Attention over temporal and spectral nodes, each way with weights of its own, and a master node over all.

    [batch, n, in], [batch, m, in], [batch or 1, 1, in] → the same three with features_out.
    """

    def __init__(self, features_in: int, features_out: int, heat: float) -> None:
        super().__init__()
        self.proj_type1 = nn.Linear(features_in, features_in)
        self.proj_type2 = nn.Linear(features_in, features_in)
        self.att_proj = nn.Linear(features_in, features_out)
        self.att_projM = nn.Linear(features_in, features_out)
        self.att_weight11 = nn.Parameter(torch.zeros(features_out, 1))
        self.att_weight22 = nn.Parameter(torch.zeros(features_out, 1))
        self.att_weight12 = nn.Parameter(torch.zeros(features_out, 1))
        self.att_weightM = nn.Parameter(torch.zeros(features_out, 1))
        self.proj_with_att = nn.Linear(features_in, features_out)
        self.proj_without_att = nn.Linear(features_in, features_out)
        self.proj_with_attM = nn.Linear(features_in, features_out)
        self.proj_without_attM = nn.Linear(features_in, features_out)
        self.bn = NodeNorm(features_out)
        self.heat = heat

    def forward(  # noqa: D102  # the class says it
        self, temporal: Tensor, spectral: Tensor, master: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        count = temporal.shape[1]
        nodes = torch.cat([self.proj_type1(temporal), self.proj_type2(spectral)], dim=1)
        seen = torch.softmax(self._scores(nodes, count) / self.heat, dim=2) @ nodes
        master = self._master(nodes, master)
        nodes = functional.selu(self.bn(self.proj_with_att(seen) + self.proj_without_att(nodes)))
        return nodes[:, :count], nodes[:, count:], master

    def _scores(self, nodes: Tensor, count: int) -> Tensor:
        """Attention before the softmax [batch, nodes, nodes], of which the first ``count`` are temporal."""
        weights = torch.cat([self.att_weight11, self.att_weight22, self.att_weight12], dim=1)
        temporal, spectral, across = (torch.tanh(self.att_proj(_products(nodes))) @ weights).unbind(3)
        upper = torch.cat([temporal[:, :count, :count], across[:, :count, count:]], dim=2)
        lower = torch.cat([across[:, count:, :count], spectral[:, count:, count:]], dim=2)
        return torch.cat([upper, lower], dim=1)

    def _master(self, nodes: Tensor, master: Tensor) -> Tensor:
        scores = torch.tanh(self.att_projM(nodes * master)) @ self.att_weightM
        seen = torch.softmax(scores / self.heat, dim=1).transpose(1, 2) @ nodes
        answer: Tensor = self.proj_with_attM(seen) + self.proj_without_attM(master)
        return answer


class Pool(nn.Module):
    """Keeps the best ``share`` of the nodes, best first: [batch, nodes, features] → [batch, fewer, features]."""

    def __init__(self, features: int, share: float) -> None:
        super().__init__()
        self.proj = nn.Linear(features, 1)
        self.share = share

    def forward(self, nodes: Tensor) -> Tensor:  # noqa: D102  # the class says it
        scores = torch.sigmoid(self.proj(nodes))
        best = torch.topk(scores, max(int(nodes.shape[1] * self.share), 1), dim=1).indices
        return torch.gather(nodes * scores, 1, best.expand(-1, -1, nodes.shape[2]))


class Network(nn.Module):
    """Sound within ±1, float32 [batch, 64600] → scores of spoof and bona fide [batch, 2].

    ``width`` is that of the last blocks and of the first graphs, ``shares`` what the pools of the spectral, the
    temporal and the joint graphs keep.
    """

    def __init__(self, width: int, shares: tuple[float, float, float]) -> None:
        super().__init__()
        self.sinc = SincFilters(_FILTERS, _TAPS)
        self.first_bn = nn.BatchNorm2d(1)
        wide = [(1, _WIDTH), (_WIDTH, _WIDTH), (_WIDTH, width), (width, width), (width, width), (width, width)]
        blocks = (nn.Sequential(Block(*channels, first=not i)) for i, channels in enumerate(wide))
        self.encoder = nn.Sequential(*blocks)
        self.pos_S = nn.Parameter(torch.zeros(1, _BANDS, width))
        self.master1 = nn.Parameter(torch.zeros(1, 1, width))
        self.master2 = nn.Parameter(torch.zeros(1, 1, width))
        self.GAT_layer_S = Attention(width, width, _HEAT)
        self.GAT_layer_T = Attention(width, width, _HEAT)
        self.pool_S, self.pool_T = Pool(width, shares[0]), Pool(width, shares[1])
        for branch in (1, 2):
            setattr(self, f"HtrgGAT_layer_ST{branch}1", JointAttention(width, _WIDTH, _JOINT_HEAT))
            setattr(self, f"HtrgGAT_layer_ST{branch}2", JointAttention(_WIDTH, _WIDTH, _JOINT_HEAT))
            setattr(self, f"pool_hS{branch}", Pool(_WIDTH, shares[2]))
            setattr(self, f"pool_hT{branch}", Pool(_WIDTH, shares[2]))
        self.out_layer = nn.Linear(5 * _WIDTH, 2)

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        maps = functional.max_pool2d(self.sinc(sound).abs().unsqueeze(1), 3)
        features = self.encoder(functional.selu(self.first_bn(maps))).abs()  # [batch, width, bands, frames]
        spectral = self.pool_S(self.GAT_layer_S(features.amax(3).transpose(1, 2) + self.pos_S))
        temporal = self.pool_T(self.GAT_layer_T(features.amax(2).transpose(1, 2)))
        first, second = (self._branch(branch, temporal, spectral) for branch in (1, 2))
        temporal, spectral, master = (torch.maximum(*pair) for pair in zip(first, second))
        parts = [temporal.abs().amax(1), temporal.mean(1), spectral.abs().amax(1), spectral.mean(1), master.squeeze(1)]
        scores: Tensor = self.out_layer(torch.cat(parts, dim=1))
        return scores

    def _branch(self, branch: int, temporal: Tensor, spectral: Tensor) -> tuple[Tensor, ...]:
        """One of the two ways through the joint graphs; both begin alike and have weights of their own."""
        joint, again = (getattr(self, f"HtrgGAT_layer_ST{branch}{step}") for step in (1, 2))
        temporal, spectral, master = joint(temporal, spectral, getattr(self, f"master{branch}"))
        spectral = getattr(self, f"pool_hS{branch}")(spectral)
        temporal = getattr(self, f"pool_hT{branch}")(temporal)
        more = again(temporal, spectral, master)
        return temporal + more[0], spectral + more[1], master + more[2]


def _products(nodes: Tensor) -> Tensor:
    """Every pair of nodes multiplied: [batch, nodes, features] → [batch, nodes, nodes, features]."""
    return nodes.unsqueeze(2) * nodes.unsqueeze(1)
