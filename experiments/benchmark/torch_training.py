"""Objective, padded batches and training loop of the PyTorch peer, for the default recipe alone.

This file and `torch_network.py` are the only importers of torch.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jax import Array
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from experiments.benchmark.torch_network import PeerBatch, PeerNetwork, PeerOutput
from macsgr_jax.config import Config, LossConfig, TrainConfig
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.errors import InputError
from macsgr_jax.losses.objective import pair_matrices
from macsgr_jax.overrides import setting_names
from macsgr_jax.training.optimizer import count_epochs
from macsgr_jax.types import Utterances


def instance_alignment(embeddings: list[Tensor], labels: list[Tensor], temperatures: Tensor) -> Tensor:
    """Computes eq. 6 over the valid embeddings, f32[n_m, d], and labels, i64[n_m], of each modality."""
    counts = torch.tensor([len(one) for one in labels], device=temperatures.device)
    scale = temperatures.reciprocal().repeat_interleave(counts, 0).repeat_interleave(counts, 1)
    z, label = torch.cat(embeddings), torch.cat(labels)
    similarity = z @ z.T * scale
    same = label[:, None] == label[None, :]
    log_negatives = similarity.masked_fill(same, torch.finfo(z.dtype).min).logsumexp(1)
    positive = (same & (similarity.detach() > 0)).fill_diagonal_(False)
    losses = functional.softplus(log_negatives[:, None] - similarity) * positive
    return (losses.sum(1) / positive.sum(1).clamp(min=1)).mean()


@torch.no_grad()
def sinkhorn_codes(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Computes soft cluster codes of scores f32[n, K], uniform on both sides, in the log domain; rows sum to one."""
    log_plan = scores / epsilon
    for _ in range(iterations):
        log_plan = (log_plan - log_plan.logsumexp(0, keepdim=True)).log_softmax(1)
    return log_plan.exp()


def prototype_alignment(output: PeerOutput, available: Tensor, prototypes: Tensor, config: LossConfig) -> Tensor:
    """Computes eq. 11: each modality predicts the codes of the other."""
    directions = functional.normalize(prototypes, dim=-1, eps=1e-6)
    scores = [embeddings @ directions.T for embeddings in output.embeddings]
    codes = []
    for score, seen in zip(scores, available, strict=True):
        code = torch.zeros_like(score)
        code[seen] = sinkhorn_codes(score[seen], config.sinkhorn_epsilon, config.sinkhorn_iterations)
        codes.append(code)
    losses = []
    for predicted, coded in itertools.permutations(range(len(available)), 2):
        both = available[predicted] & available[coded]
        logits = scores[predicted][both] / config.temperature_prototype
        losses.append(functional.cross_entropy(logits, codes[coded][both], reduction="none"))
    return torch.cat(losses).mean()


def latent_alignment(output: PeerOutput, available: Tensor) -> Tensor:
    """Computes eq. 12: half the mean distance between the Gaussians of the modalities."""
    parameters = torch.cat([output.mean, output.std], dim=-1)
    distances = [
        (parameters[one] - parameters[other])[available[one] & available[other]].norm(dim=-1)
        for one, other in itertools.combinations(range(len(available)), 2)
    ]
    return 0.5 * torch.cat(distances).mean()


def classification(logits: Tensor, labels: Tensor, balance: float) -> Tensor:
    """Computes the mean cross-entropy, each utterance weighed by count^-balance of its label, eq. 30."""
    counts = torch.bincount(labels, minlength=logits.shape[-1]).clamp(min=1)
    return functional.cross_entropy(logits, labels, weight=counts.to(logits.dtype) ** -balance)


def total_loss(
    output: PeerOutput, batch: PeerBatch, prototypes: Tensor, temperatures: Tensor, config: LossConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """Computes the objective of eq. 31 and its terms, as in `macsgr_jax.losses.TERMS`; those that are off are 0."""
    embeddings = [one[seen] for one, seen in zip(output.embeddings, batch.available, strict=True)]
    labels = [batch.labels[seen] for seen in batch.available]
    terms = {
        "classification": classification(output.logits[batch.mask], batch.labels[batch.mask], config.class_balance),
        "instance": instance_alignment(embeddings, labels, temperatures),
        "prototype": prototype_alignment(output, batch.available, prototypes, config),
        "latent": latent_alignment(output, batch.available),
        "uncertainty": torch.zeros(()),
    }
    alignment = (
        config.gamma_instance * terms["instance"]
        + config.gamma_prototype * terms["prototype"]
        + config.gamma_latent * terms["latent"]
    )
    terms["total"] = terms["classification"] + config.lambda_alignment * alignment
    return terms["total"], terms


class PeerDialogues(Dataset):
    """Dialogues of a corpus; each item is a dictionary of f32[T, D_m], bool[T, M], i64[T] and i64[T]."""

    def __init__(
        self, utterances: Utterances, offsets: np.ndarray, dialogues: np.ndarray, device: torch.device
    ) -> None:
        def tensor(values: Array) -> Tensor:
            return torch.tensor(np.asarray(values), device=device)

        self.features = {name: tensor(utterances.features[name]) for name in sorted(utterances.features)}
        self.available = torch.stack([tensor(utterances.available[name]) for name in self.features], dim=1)
        self.speakers, self.labels = tensor(utterances.speakers).long(), tensor(utterances.labels).long()
        self.spans = [(int(offsets[d]), int(offsets[d + 1])) for d in dialogues]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        span = slice(*self.spans[index])
        return {
            **{name: values[span] for name, values in self.features.items()},
            "available": self.available[span],
            "speakers": self.speakers[span],
            "labels": self.labels[span],
        }


def collate(items: Sequence[dict[str, Tensor]]) -> PeerBatch:
    """Pads dialogues to the longest of them."""
    fields = {name: pad_sequence([item[name] for item in items], batch_first=True) for name in items[0]}
    available, speakers, labels = (fields.pop(name) for name in ("available", "speakers", "labels"))
    lengths = torch.tensor([len(item["labels"]) for item in items])
    mask = torch.arange(labels.shape[1])[None, :] < lengths[:, None]
    return PeerBatch(fields, available.permute(2, 0, 1), speakers, labels, mask.to(labels.device), lengths)


class PeerTraining:
    """Trains the peer, one epoch per call.

    Args:
        prepared: the prepared corpus, the same as ours.
        config: the configuration of the training; switches other than the default ones are refused.
        device: the device of torch; by default a GPU where torch has one.

    Raises:
        InputError: a switch is not the default, or there are fewer than two modalities.
    """

    def __init__(self, prepared: PreparedCorpus, config: Config, device: torch.device | None = None) -> None:
        refuse_other_settings(config)
        features = prepared.utterances.features
        if len(features) < 2:
            raise InputError("the PyTorch peer aligns modalities: give it a corpus of two or more")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu") if device is None else device
        self.config, self._device = config, device
        sizes = {name: values.shape[1] for name, values in features.items()}
        self.network = PeerNetwork(config.model, sizes, prepared.corpus.num_classes).to(device)
        self.temperatures = torch.tensor(np.asarray(pair_matrices(config.loss, sorted(sizes))[0]), device=device)
        corpus = prepared.corpus
        dialogues = PeerDialogues(prepared.utterances, corpus.offsets, corpus.dialogues_of("train"), device)
        size = config.train.dialogues_per_step
        self.batches = DataLoader(dialogues, batch_size=size, shuffle=True, collate_fn=collate)
        self.ordered = DataLoader(dialogues, batch_size=size, collate_fn=collate)
        self.optimizer = make_optimizer(self.network, config.train)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer,
            count_epochs(config.train, prepared.steps_per_epoch) * len(self.batches),
            config.train.min_learning_rate,
        )
        self.epoch = 0

    def train_epoch(self) -> dict[str, float]:
        """Trains on the training dialogues once, in a random order; returns the mean of each loss term."""
        self.network.train()
        self.network.prototypes.requires_grad_(self.epoch >= self.config.loss.prototype_frozen_epochs)
        self.epoch += 1
        history = [self.train_step(batch) for batch in self.batches]
        return {name: float(torch.stack([terms[name] for terms in history]).mean()) for name in history[0]}

    def train_step(self, batch: PeerBatch) -> dict[str, Tensor]:
        """Takes one step; returns the loss terms."""
        self.optimizer.zero_grad()
        output = self.network(batch)
        loss, terms = total_loss(output, batch, self.network.prototypes, self.temperatures, self.config.loss)
        loss.backward()
        if self.config.train.clip_norm:
            clip_grad_norm_(self.network.parameters(), self.config.train.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        return {name: term.detach() for name, term in terms.items()}

    @torch.inference_mode()
    def count_correct(self) -> int:
        """Counts the utterances of the training split that are classified correctly."""
        self.network.eval()
        return sum(
            int((self.network(batch).logits.argmax(-1) == batch.labels)[batch.mask].sum()) for batch in self.ordered
        )

    def padding_fraction(self) -> float:
        """Returns the fraction of the slots of an epoch that are padding."""
        masks = [batch.mask for batch in self.batches]
        return 1.0 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)

    @property
    def steps(self) -> int:
        """The number of steps of a training epoch."""
        return len(self.batches)

    @property
    def device(self) -> str:
        """The name of the device."""
        threads = f", {torch.get_num_threads()} threads" if self._device.type == "cpu" else ""
        return f"{self._device}{threads}"


# Numbers that have to be 0, as the peer does not implement what they stand for.
NOT_IMPLEMENTED = (
    "loss.offset_intra",
    "loss.offset_cross",
    "train.modality_dropout",
    "train.feature_noise",
    "train.utterance_dropout",
    "train.warmup_epochs",
)


def refuse_other_settings(config: Config) -> None:
    """Raises InputError for what the peer does not implement: a switch that is not the default, a number above 0."""
    defaults = {name: value for name, _, value in setting_names(Config())}
    for name, _, value in setting_names(config):
        if isinstance(value, bool | str) and name != "train.checkpoint" and value != defaults[name]:
            raise InputError(f"the PyTorch peer knows the default recipe only: leave {name} as it is")
        if name in NOT_IMPLEMENTED and value:
            raise InputError(f"the PyTorch peer knows the default recipe only: {name} has to be 0")
        if name.startswith("model.window") and value == 0:
            raise InputError(f"the PyTorch peer sees both directions: {name} has to be at least 1")


def make_optimizer(network: PeerNetwork, config: TrainConfig) -> torch.optim.Optimizer:
    """Makes Adam with L2 weight decay in the gradient, on matrices alone."""
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    vectors = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors}]
    return torch.optim.Adam(groups, lr=config.learning_rate, fused=True)
