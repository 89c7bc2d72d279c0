"""The types that everything shares: NamedTuples of arrays, so that each of them is a pytree.

Letters of all shapes in this package: U utterances of a corpus; a batch has B rows of N slots; D_m features of modality
m; M modalities; d_e and d_f hidden sizes; C emotions; K prototypes; R relations; W offsets of the context window;
E = B * N * W edges; S runs.
"""

from typing import Any, NamedTuple, TypeAlias

import jax
from jax import Array

from macsgr_jax.config import Config, DataConfig, LossConfig, ModelConfig, TrainConfig, split_fields

Params: TypeAlias = dict[str, Any]
AnyArray: TypeAlias = Any  # np.ndarray or jax.Array: mypy has no name for what both can do.

# A configuration is a pytree: its traced hyperparameters are leaves, its static settings are structure.
for _section in (DataConfig, ModelConfig, LossConfig, TrainConfig):
    _traced, _static = split_fields(_section)
    jax.tree_util.register_dataclass(_section, data_fields=_traced, meta_fields=_static)
jax.tree_util.register_dataclass(Config, data_fields=["data", "model", "loss", "train"], meta_fields=[])


class Utterances(NamedTuple):
    """A whole corpus: NumPy arrays as `prepare` makes them, or on the devices, where training puts them once.

    Attributes:
        features: modality -> f32[U, D_m] or f16[U, D_m], standardised; zero where nothing was measured.
        available: modality -> bool[U]; a missing modality is not padding.
        speakers: i32[U].
        labels: i32[U], -1 where an utterance has none.
        dialogue: i32[U], the dialogue of each utterance.
    """

    features: dict[str, AnyArray]
    available: dict[str, AnyArray]
    speakers: AnyArray
    labels: AnyArray
    dialogue: AnyArray


class Batch(NamedTuple):
    """Rows of slots, gathered from `Utterances` by an index array i32[B, N] in which -1 is padding.

    Attributes:
        features: modality -> f32[B, N, D_m], zero where padded or not available.
        available: modality -> bool[B, N], False where padded.
        speakers: i32[B, N], 0 where padded.
        labels: i32[B, N], 0 where padded and -1 where an utterance has none.
        dialogue: i32[B, N], which dialogue of the corpus, -1 where padded; nothing crosses from one to another.
        mask: bool[B, N], True where an utterance is.
    """

    features: dict[str, Array]
    available: dict[str, Array]
    speakers: Array
    labels: Array
    dialogue: Array
    mask: Array

    @property
    def labelled(self) -> Array:
        """bool[B, N], True where an utterance has a label.

        The others are context: the network reads them as any utterance, and no loss and no score counts them.
        """
        return self.mask & (self.labels >= 0)


class Gaussian(NamedTuple):
    """Diagonal normal distributions.

    Attributes:
        mean: f32[M, B, N, d_e].
        std: f32[M, B, N, d_e], standard deviations, positive.
    """

    mean: Array
    std: Array


class NetworkOutput(NamedTuple):
    """The predictions of a network for a batch, and the intermediate results that losses and figures read.

    Attributes:
        logits: f32[B, N, C], unnormalised log-probabilities of the emotions.
        embeddings: f32[M, B, N, d_e], of unit length (s~ and t~ of the paper); zero where padded or not available.
        latents: the latent Gaussians of all modalities.
        weights: f32[M, B, N], the fusion weights omega, which sum to one over the available modalities.
        nodes: f32[B, N, d_f], the fused features g before the refinement.
        syntactic: f32[B, N, d_f // 2], h^sy; zero where the syntactic encoder is ablated.
        semantic: f32[B, N, d_f - d_f // 2], h^se; zero where the semantic encoder is ablated.
        modality_logits: f32[M, B, N, C], log-probabilities, unnormalised, by each modality's mean alone; None without
            `model.modality_classifiers`.
    """

    logits: Array
    embeddings: Array
    latents: Gaussian
    weights: Array
    nodes: Array
    syntactic: Array
    semantic: Array
    modality_logits: Array | None = None
