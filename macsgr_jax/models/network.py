"""MA-CMU-SGRNet: encode, align, distribute, fuse, connect, refine, classify."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from macsgr_jax.config import ModelConfig
from macsgr_jax.masking import safe_normalize
from macsgr_jax.models.attention import dialogue_pairs
from macsgr_jax.models.distribution import DistributionEncoder
from macsgr_jax.models.dropout import Dropout
from macsgr_jax.models.fusion import CrossModalFusion, fusion_weights
from macsgr_jax.models.graph import build_newest_graph, build_semantic_graph, semantic_similarity
from macsgr_jax.models.gru import GRUEncoder
from macsgr_jax.models.products import PRODUCTS
from macsgr_jax.models.rgcn import SyntacticEncoder, aggregate_in_windows
from macsgr_jax.models.semantic import SemanticEncoder
from macsgr_jax.models.stream import STREAM, Cursor, Memory
from macsgr_jax.types import Batch, Gaussian, NetworkOutput

# Each modality has its own weights, stacked along a first axis. The classes are made once, because networks of one
# configuration have to compare equal: they are static arguments of jitted functions.
_PER_MODALITY = {"variable_axes": {"params": 0, STREAM: 0}, "split_rngs": {"params": True}}
DensePerModality = nn.vmap(nn.Dense, **_PER_MODALITY)
DistributionEncoderPerModality = nn.vmap(DistributionEncoder, in_axes=(0, 0, None), **_PER_MODALITY)


class Encoded(NamedTuple):
    """What the network knows of a batch before it draws from the latent Gaussians: the same for all draws.

    Attributes:
        embeddings: f32[M, B, N, d_e], as in `NetworkOutput`.
        latents: the latent Gaussians of all modalities.
        available: bool[M, B, N], False where a modality is missing or the slot is padding.
        allowed: bool[B, N, N], [row, i, j] for slot i attending to slot j.
    """

    embeddings: Array
    latents: Gaussian
    available: Array
    allowed: Array


class Network(nn.Module):
    """The whole network, for any number of modalities; `build_network` makes one from a configuration.

    Attributes:
        encoder: maps (features, dialogue, mask) to hidden states f32[M, B, N, d_e], as `GRUEncoder` does.
        projection: maps hidden states to embeddings of the same shape.
        distribution: maps features f32[M, B, N, d_e], allowed pairs bool[M, B, N, N] and a cursor to a `Gaussian`.
        fusion: maps the weighted features of all modalities to nodes f32[B, N, d_f].
        syntactic: the relational graph convolutions; None is the ablation "w/o SyE".
        semantic: the attention over the dialogue; None is the ablation "w/o SeE".
        classifier_hidden: the hidden layer of the classifier.
        classifier_out: the last layer of the classifier, with one feature per emotion.
        modality_classifiers: one linear layer per modality, from mu to the emotions; None without.
        num_prototypes: K.
        window_past: Theta_p, how far edges reach into the past.
        window_future: Theta_f, how far edges reach into the future.
        causal: whether nothing of the future may be attended to.
        dropout: fraction of hidden features that is dropped in training.
        input_dropout: fraction of input features that is dropped in training.
        distribution_input: whether the distribution encoder reads the hidden states or the embeddings.
        fusion_input: whether the fusion reads the weighted features X~ or the samples X.
        uncertainty: how the fusion weights depend on the standard deviations.
        uncertainty_weighting: False weighs all modalities alike (the ablation "w/o UW").
        similarity: the form of eq. 22.
        residual: whether a path leads around the refinement.
        classifier_skip: whether the classifier also reads the nodes and the weighted features.
    """

    encoder: nn.Module
    projection: nn.Dense
    distribution: nn.Module
    fusion: CrossModalFusion
    syntactic: SyntacticEncoder | None
    semantic: SemanticEncoder | None
    classifier_hidden: nn.Module
    classifier_out: nn.Dense
    modality_classifiers: nn.Module | None
    num_prototypes: int
    window_past: int
    window_future: int
    causal: bool = False
    dropout: float = 0.0
    input_dropout: float = 0.0
    distribution_input: Literal["hidden", "embedding"] = "hidden"
    fusion_input: Literal["weighted", "sampled"] = "weighted"
    uncertainty: Literal["direct", "inverse"] = "direct"
    uncertainty_weighting: bool = True
    similarity: Literal["scaled", "printed"] = "scaled"
    residual: bool = True
    classifier_skip: bool = True

    @property
    def num_classes(self) -> int:
        """C, the number of emotions."""
        return self.classifier_out.features

    def setup(self) -> None:
        """Makes what has no counterpart among the fields."""
        self.input_drop = Dropout(self.input_dropout)
        self.drop = Dropout(self.dropout)
        self.past_available, self.past_nodes = Memory(), Memory()
        self.past_speakers = Memory(self.window_past + 1)
        shape = (self.num_prototypes, self.projection.features)
        self.prototypes = self.param("prototypes", nn.initializers.normal(1.0), shape)

    def __call__(self, batch: Batch, *, train: bool = False, sample: bool = False) -> NetworkOutput:
        """Predicts the emotion of every utterance of a batch.

        Args:
            batch: rows of dialogues.
            train: whether to draw from the latent Gaussians (stream "sample") and drop features (stream "dropout").
            sample: whether to draw from the latent Gaussians without dropping features.

        Returns:
            NetworkOutput.
        """
        encoded = self.encode(batch, train=train)
        noise = self.draw_noise(encoded.latents.std.shape) if train or sample else None
        return self.decode(batch, encoded, noise, train=train)

    def encode(self, batch: Batch, cursor: Cursor | None = None, *, train: bool = False) -> Encoded:
        """Encodes, aligns and distributes: what comes before the draw from the latent Gaussians.

        Args:
            batch: rows of dialogues.
            cursor: where the newest utterances stand, if the batch has those of a stream alone (N = 1, causal).
            train: whether to drop features (stream "dropout").

        Returns:
            Encoded; in a stream, `available` and the last axis of `allowed` have all slots of the window.
        """
        available = self._stack_available(batch)
        allowed = dialogue_pairs(batch.dialogue, batch.mask, self.causal) if cursor is None else cursor.visible()
        known = self.past_available(available.transpose(1, 2, 0), cursor).transpose(2, 0, 1)
        # Encode: u~ of each modality in the context of its dialogue. Align: s~ and t~ on the unit sphere.
        hidden = self._encode(batch, cursor, train)
        embeddings = jnp.where(available[..., None], safe_normalize(self.projection(hidden)), 0.0)
        # Distribute. Differs from the paper, which reads the unit vectors here: noise would drown their small entries.
        read = hidden if self.distribution_input == "hidden" else embeddings
        latents = self.distribution(read, allowed[None] & known[:, :, None, :], cursor)
        return Encoded(embeddings, latents, known, allowed)

    def draw_noise(self, shape: tuple[int, ...]) -> Array:
        """Draws the noise of latent Gaussians (stream "sample"): standard normal, f32 of this shape."""
        return jax.random.normal(self.make_rng("sample"), shape)

    def decode(
        self, batch: Batch, encoded: Encoded, noise: Array | None, cursor: Cursor | None = None, *, train: bool = False
    ) -> NetworkOutput:
        """Fuses, connects, refines and classifies: what depends on the draw from the latent Gaussians.

        Args:
            batch: rows of dialogues.
            encoded: of `encode`.
            noise: f32[M, B, N, d_e], of `draw_noise`; None takes the means.
            cursor: as in `encode`.
            train: whether to drop features (stream "dropout").

        Returns:
            NetworkOutput.
        """
        # Fuse: eqs. 14-21.
        weighted, weights = self._weigh(encoded.latents, self._stack_available(batch), noise)
        fused = self.fusion(weighted, encoded.available, encoded.allowed, cursor)
        nodes = jnp.where(batch.mask[..., None], fused, 0.0)
        # Connect and refine: eqs. 22-26.
        syntactic, semantic = self._refine(
            self.drop(nodes, deterministic=not train), batch, encoded.allowed, cursor, train
        )
        # Classify: eqs. 27-28; the softmax of eq. 28 is left to the loss and to the reader of the logits.
        refined = jnp.concatenate([syntactic, semantic], axis=-1)  # Eq. 27.
        if self.residual:
            refined = refined + nodes  # Differs from the paper: h_i is the refinement alone.
        if self.classifier_skip:
            refined = jnp.concatenate([refined, nodes, *weighted], axis=-1)
        refined = self.drop(refined, deterministic=not train)
        logits = self.classifier_out(self.drop(nn.relu(self.classifier_hidden(refined)), deterministic=not train))
        alone = None if self.modality_classifiers is None else self.modality_classifiers(encoded.latents.mean)
        return NetworkOutput(logits, encoded.embeddings, encoded.latents, weights, nodes, syntactic, semantic, alone)

    def _stack_available(self, batch: Batch) -> Array:
        return jnp.stack([batch.available[name] for name in sorted(batch.features)])

    def _encode(self, batch: Batch, cursor: Cursor | None, train: bool) -> Array:
        features = {}
        for name, values in batch.features.items():
            measured = jnp.where(batch.available[name][..., None], values, 0.0)
            features[name] = self.input_drop(measured, deterministic=not train)
        stream = () if cursor is None else (cursor,)  # An encoder that knows no streams takes three arguments.
        hidden = self.encoder(features, batch.dialogue, batch.mask, *stream)
        return self.drop(hidden, deterministic=not train)

    def _weigh(self, latents: Gaussian, available: Array, noise: Array | None) -> tuple[Array, Array]:
        sampled = latents.mean if noise is None else latents.mean + latents.std * noise
        weights = fusion_weights(
            latents.std, available, uncertainty=self.uncertainty, weighted=self.uncertainty_weighting
        )
        if self.fusion_input == "sampled" and self.fusion.interaction:
            return jnp.where(available[..., None], sampled, 0.0), weights
        return weights[..., None] * sampled, weights  # Eqs. 16-17; a missing modality weighs nothing.

    def _refine(
        self, nodes: Array, batch: Batch, allowed: Array, cursor: Cursor | None, train: bool
    ) -> tuple[Array, Array]:
        rows, slots, size = nodes.shape
        half = size // 2
        syntactic = jnp.zeros((rows, slots, half), nodes.dtype)
        semantic = jnp.zeros((rows, slots, size - half), nodes.dtype)
        past = None if cursor is None else self.past_nodes(safe_normalize(nodes), cursor)
        similarity = semantic_similarity(nodes, self.similarity, past)
        self.sow("intermediates", "similarity", similarity)  # Read by the predictor, to explain its predictions.
        if self.syntactic is not None:
            window = {"past": self.window_past, "future": self.window_future}
            if cursor is None:
                graph = build_semantic_graph(nodes, similarity, batch.speakers, batch.dialogue, batch.mask, **window)
            else:
                speakers = self.past_speakers(batch.speakers, cursor)
                graph = build_newest_graph(nodes, similarity, speakers, cursor)
            syntactic = self.syntactic(graph, cursor, train=train).reshape(rows, slots, half)
            syntactic = jnp.where(batch.mask[..., None], syntactic, 0.0)
        if self.semantic is not None:
            semantic = self.semantic(nodes, similarity, allowed, cursor)
        return syntactic, semantic


def build_network(config: ModelConfig, num_classes: int) -> Network:
    """Makes the network of a configuration; the first batch brings the modalities and their sizes.

    Args:
        config: the sizes, the choices where the paper is ambiguous, and the ablations.
        num_classes: C, the number of emotions.

    Returns:
        A flax module; networks of equal arguments are equal and have the same hash.
    """
    product = PRODUCTS[config.matmul]
    syntactic_size = config.fused_size // 2
    return Network(
        encoder=GRUEncoder(hidden_size=config.hidden_size, causal=config.causal, dot_general=product),
        projection=DensePerModality(features=config.hidden_size, dot_general=product),
        distribution=DistributionEncoderPerModality(
            heads=config.distribution_heads,
            initial_std=config.initial_std,
            min_std=config.min_std,
            max_std=config.max_std,
            dot_general=product,
        ),
        fusion=CrossModalFusion(
            fused_size=config.fused_size,
            heads=config.fusion_heads,
            interaction=config.cross_modal_interaction,
            residual=config.residual,
            dot_general=product,
        ),
        syntactic=SyntacticEncoder(
            size=syntactic_size,
            weighted=config.semantic_edge_weights,
            residual=config.residual,
            dropout=config.dropout,
            aggregate=aggregate_in_windows,
            dot_general=product,
        )
        if config.syntactic_encoder
        else None,
        semantic=SemanticEncoder(
            size=config.fused_size - syntactic_size,
            heads=config.semantic_heads,
            past=config.window_past,
            future=config.reach_future,
            max_hops=config.max_hops,
            encoding=config.semantic_position_encoding,
            attended_value=config.attended_value,
            dot_general=product,
        )
        if config.semantic_encoder
        else None,
        classifier_hidden=nn.Dense(features=config.fused_size, dot_general=product),
        classifier_out=nn.Dense(features=num_classes, dot_general=product),
        modality_classifiers=DensePerModality(features=num_classes, dot_general=product)
        if config.modality_classifiers
        else None,
        num_prototypes=config.num_prototypes,
        window_past=config.window_past,
        window_future=config.reach_future,
        causal=config.causal,
        dropout=config.dropout,
        input_dropout=config.input_dropout,
        distribution_input=config.distribution_input,
        fusion_input=config.fusion_input,
        uncertainty=config.uncertainty,
        uncertainty_weighting=config.uncertainty_weighting,
        similarity=config.similarity,
        residual=config.residual,
        classifier_skip=config.classifier_skip,
    )
