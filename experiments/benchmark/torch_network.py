"""The same network in plain PyTorch, on padded batches, with which the benchmark compares ours.

It is written as a careful repository on emotion recognition in conversation: `nn.GRU` on packed sequences, batches of
whole dialogues padded to their longest, dense adjacency. It implements the default settings of `ModelConfig` alone. Of
the alternatives that were tried on a CPU (packed against padded sequences, dense adjacency against `index_add`, ...) it
has the fastest.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from macsgr_jax.config import ModelConfig

RELATIONS = 4
LOG_STD_RANGE = (-7.0, 3.0)
MAX_COSINE = 1.0 - 1e-6


class PeerBatch(NamedTuple):
    """Dialogues, one per row, padded to the longest.

    Attributes:
        features: modality -> f32[B, T, D_m], zero where padded or not available.
        available: bool[M, B, T], False where padded.
        speakers: i64[B, T], speakers.
        labels: i64[B, T], annotated classes.
        mask: bool[B, T], False where padded.
        lengths: i64[B], numbers of utterances, on the host.
    """

    features: dict[str, Tensor]
    available: Tensor
    speakers: Tensor
    labels: Tensor
    mask: Tensor
    lengths: Tensor


class PeerOutput(NamedTuple):
    """Outputs: logits f32[B, T, C]; embeddings, mean and std f32[M, B, T, d_e]; anything where padded."""

    logits: Tensor
    embeddings: Tensor
    mean: Tensor
    std: Tensor


def attend(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, heads: int) -> Tensor:
    """Computes multi-head attention of f32[B, T, H * h] to the slots where `seen`, bool[B, T], holds."""
    query, key, value = (one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in (query, key, value))
    result = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None, :])
    return result.transpose(1, 2).flatten(2)


class GRUEncoder(nn.Module):
    """Encodes the utterances of one modality in the context of their dialogue."""

    def __init__(self, size: int, hidden_size: int) -> None:
        super().__init__()
        self.gru = nn.GRU(size, hidden_size // 2, batch_first=True, bidirectional=True)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """f32[B, T, D_m] -> f32[B, T, d_e]."""
        packed = pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=features.shape[1])
        return hidden


class DistributionEncoder(nn.Module):
    """Maps hidden states of one modality to means and standard deviations (Fig. 2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size, width = config.hidden_size, 2 * config.hidden_size
        self.heads = config.distribution_heads
        self.min_std, self.max_std = config.min_std, config.max_std
        self.feed_forward = nn.Linear(size, width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.mean_in, self.mean_out = nn.Linear(size, size), nn.Linear(size, size)
        self.log_std_in, self.log_std_out = nn.Linear(size, size), nn.Linear(size, size)
        self.gelu = nn.GELU(approximate="tanh")
        nn.init.normal_(self.log_std_out.weight, std=0.01)
        nn.init.constant_(self.log_std_out.bias, float(torch.tensor(config.initial_std).log()))

    def forward(self, hidden: Tensor, available: Tensor) -> tuple[Tensor, Tensor]:
        """f32[B, T, d_e] -> mean and standard deviation, f32[B, T, d_e] each."""
        inner = self.norm(self.gelu(self.feed_forward(hidden)))
        attended = attend(self.query(inner), self.key(inner), self.value(inner), available, self.heads)
        mean_half, std_half = attended.chunk(2, dim=-1)
        mean = hidden + self.mean_out(self.gelu(self.mean_in(mean_half)))
        log_std = self.log_std_out(self.gelu(self.log_std_in(std_half)))
        if self.max_std:
            return mean, self.max_std * torch.sigmoid(log_std - math.log(self.max_std)) + self.min_std
        return mean, log_std.clamp(*LOG_STD_RANGE).exp() + self.min_std


class CrossModalAttention(nn.Module):
    """Attends from the samples of one modality to those of another (eqs. 18-21)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.fusion_heads
        self.query, self.key, self.value = (
            nn.Linear(config.hidden_size, config.fused_size, bias=False) for _ in range(3)
        )

    def forward(self, own: Tensor, other: Tensor, available: Tensor) -> Tensor:
        """f32[B, T, d_e] twice -> f32[B, T, d_f]."""
        return attend(self.query(own), self.key(other), self.value(other), available, self.heads)


class CrossModalFusion(nn.Module):
    """Maps weighted samples of every modality to one vector per utterance."""

    def __init__(self, config: ModelConfig, modalities: int) -> None:
        super().__init__()
        size = config.fused_size
        widths = [size // modalities + (own < size % modalities) for own in range(modalities)]
        self.others = [[other for other in range(modalities) if other != own] or [own] for own in range(modalities)]
        self.pairs = nn.ModuleDict(
            {f"{own}_{other}": CrossModalAttention(config) for own, seen in enumerate(self.others) for other in seen}
        )
        self.branch = nn.ModuleList(nn.Linear(size, width) for width in widths)
        self.residual = nn.ModuleList(nn.Linear(config.hidden_size, width) for width in widths)

    def forward(self, weighted: Tensor, available: Tensor) -> Tensor:
        """f32[M, B, T, d_e] -> f32[B, T, d_f]."""
        branches = []
        for own, seen in enumerate(self.others):
            parts = [self.pairs[f"{own}_{other}"](weighted[own], weighted[other], available[other]) for other in seen]
            branches.append(self.branch[own](sum(parts) / len(parts)) + self.residual[own](weighted[own]))
        return torch.cat(branches, dim=-1)


class RelationalConvolution(nn.Module):
    """Computes one layer of eq. 23, before the activation."""

    def __init__(self, size: int, out: int) -> None:
        super().__init__()
        self.relation = nn.Linear(RELATIONS * size, out, bias=False)
        self.own = nn.Linear(size, out)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """f32[B, T, d] and f32[B, T, R, T] -> f32[B, T, out]."""
        rows, slots, size = nodes.shape
        messages = adjacency.view(rows, slots * RELATIONS, slots) @ nodes
        return self.relation(messages.view(rows, slots, RELATIONS * size)) + self.own(nodes)


class SyntacticEncoder(nn.Module):
    """Applies two relational graph convolutions over the window graph."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.past, self.future = config.window_past, config.window_future
        self.layer_1 = RelationalConvolution(config.fused_size, config.fused_size)
        self.layer_2 = RelationalConvolution(config.fused_size, config.fused_size // 2)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, nodes: Tensor, similarity: Tensor, speakers: Tensor, mask: Tensor) -> Tensor:
        """f32[B, T, d_f] -> f32[B, T, d_f / 2]."""
        adjacency = self.connect(similarity, speakers, mask)
        hidden = self.drop(self.layer_1(nodes, adjacency).relu() + nodes)
        return self.layer_2(hidden, adjacency).relu()

    def connect(self, similarity: Tensor, speakers: Tensor, mask: Tensor) -> Tensor:
        """Returns edge weights by receiver, relation and sender, over the receiver's edge count: f32[B, T, R, T]."""
        slot = torch.arange(mask.shape[1], device=mask.device)
        offset = slot[None, :] - slot[:, None]
        near = (offset >= -self.past) & (offset <= self.future) & mask[:, None, :]
        same = speakers[:, :, None] == speakers[:, None, :]
        past = offset <= 0
        relations = [same & past, same & ~past, ~same & past, ~same & ~past]
        edges = torch.stack([near & relation for relation in relations], dim=2).to(similarity.dtype)
        return edges / edges.sum(-1, keepdim=True).clamp(min=1) * similarity[:, :, None]


class SemanticEncoder(nn.Module):
    """Attends over the whole dialogue, with a bias of similarity and position (eqs. 24-26)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.fused_size // 2
        self.past, self.future, self.max_hops = config.window_past, config.window_future, config.max_hops
        self.heads = config.semantic_heads
        self.query, self.key, self.value = (nn.Linear(config.fused_size, size, bias=False) for _ in range(3))
        self.hop_embedding = nn.Parameter(0.02 * torch.randn(self.heads, config.max_hops + 1))

    def forward(self, nodes: Tensor, similarity: Tensor, mask: Tensor) -> Tensor:
        """f32[B, T, d_f] -> f32[B, T, d_f / 2]."""
        query, key, value = (
            layer(nodes).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        bias = similarity[:, None] + self.hop_embedding[:, self.hops(mask)]
        logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5 + bias
        attention = logits.masked_fill(~mask[:, None, None, :], torch.finfo(logits.dtype).min).softmax(-1)
        result = attention @ value + (attention * bias).sum(-1, keepdim=True)
        return result.transpose(1, 2).flatten(2)

    def hops(self, mask: Tensor) -> Tensor:
        """Returns the hops between two slots of the window graph, at most max_hops: i64[T, T]."""
        slot = torch.arange(mask.shape[1], device=mask.device)
        distance = slot[:, None] - slot[None, :]
        forward, backward = -(-distance // self.past), -(distance // self.future)
        return torch.where(distance > 0, forward, backward).clamp(max=self.max_hops)


class PeerNetwork(nn.Module):
    """The whole network.

    Args:
        config: the sizes; all switches are taken to have their defaults.
        sizes: modality -> D_m, its number of features.
        num_classes: C, the number of classes.
    """

    def __init__(self, config: ModelConfig, sizes: dict[str, int], num_classes: int) -> None:
        super().__init__()
        self.modalities = sorted(sizes)
        hidden, fused, count = config.hidden_size, config.fused_size, len(sizes)
        self.encoder = nn.ModuleList(GRUEncoder(sizes[name], hidden) for name in self.modalities)
        self.projection = nn.ModuleList(nn.Linear(hidden, hidden) for _ in self.modalities)
        self.distribution = nn.ModuleList(DistributionEncoder(config) for _ in self.modalities)
        self.fusion = CrossModalFusion(config, count)
        self.syntactic = SyntacticEncoder(config)
        self.semantic = SemanticEncoder(config)
        self.classifier_hidden = nn.Linear(2 * fused + count * hidden, fused)
        self.classifier_out = nn.Linear(fused, num_classes)
        self.prototypes = nn.Parameter(torch.randn(config.num_prototypes, hidden))
        self.input_drop, self.drop = nn.Dropout(config.input_dropout), nn.Dropout(config.dropout)

    def forward(self, batch: PeerBatch) -> PeerOutput:
        """Classifies every utterance of a batch."""
        modalities = range(len(self.modalities))
        features = [self.input_drop(batch.features[name]) for name in self.modalities]
        hidden = [self.drop(self.encoder[m](features[m], batch.lengths)) for m in modalities]
        embeddings = [functional.normalize(self.projection[m](hidden[m]), dim=-1, eps=1e-6) for m in modalities]
        latents = [self.distribution[m](hidden[m], batch.available[m]) for m in modalities]
        mean, std = (torch.stack(parts) for parts in zip(*latents, strict=True))
        sampled = mean + std * torch.randn_like(std) if self.training else mean
        norm = std.norm(dim=-1) * batch.available
        weighted = (norm / norm.sum(0).clamp(min=1e-12))[..., None] * sampled
        nodes = self.fusion(weighted, batch.available)

        dropped = self.drop(nodes)
        unit = functional.normalize(dropped, dim=-1, eps=1e-6)
        cosine = (unit @ unit.transpose(1, 2)).clamp(-MAX_COSINE, MAX_COSINE)
        similarity = 1.0 - cosine.arccos() / torch.pi
        syntactic = self.syntactic(dropped, similarity, batch.speakers, batch.mask)
        semantic = self.semantic(dropped, similarity, batch.mask)
        refined = torch.cat([torch.cat([syntactic, semantic], -1) + nodes, nodes, *weighted], dim=-1)
        logits = self.classifier_out(self.drop(self.classifier_hidden(self.drop(refined)).relu()))
        return PeerOutput(logits, torch.stack(embeddings), mean, std)

    def load(self, weights: dict[str, np.ndarray]) -> None:
        """Loads the weights that `experiments.benchmark.torch_weights.to_peer` mapped."""
        self.load_state_dict({name: torch.tensor(values) for name, values in weights.items()})
