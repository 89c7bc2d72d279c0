"""MA-CMU-SGRNet: encode, align, distribute, fuse, connect, refine, classify."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.export import is_symbolic_dim

from macsgr_jax.config import ModelConfig
from macsgr_jax.masking import safe_normalize
from macsgr_jax.models.attention import dialogue_pairs
from macsgr_jax.models.distribution import DistributionEncoder
from macsgr_jax.models.dropout import Dropout
from macsgr_jax.models.fusion import CrossModalFusion, fusion_weights
from macsgr_jax.models.graph import build_dense_graph, build_semantic_graph, semantic_similarity
from macsgr_jax.models.gru import GRUEncoder
from macsgr_jax.models.products import dot_general_in
from macsgr_jax.models.rgcn import SyntacticEncoder
from macsgr_jax.models.semantic import SemanticEncoder
from macsgr_jax.types import Batch, Gaussian, NetworkOutput

# Longer rows keep their graphs as edges, whose memory grows with the length and not with its square.
MAX_DENSE_SLOTS = 128


class Network(nn.Module):
    """The whole network, for one modality or many.

    Attributes:
        config: sizes, readings and ablations.
        num_classes: C.
    """

    config: ModelConfig
    num_classes: int

    def setup(self) -> None:
        """Make the modules."""
        config = self.config
        per_modality = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        product = dot_general_in(config.matmul)
        syntactic_size = config.fused_size // 2
        self.encoder = GRUEncoder(config.hidden_size, config.causal, config.matmul)
        self.projection = nn.vmap(nn.Dense, **per_modality)(config.hidden_size, dot_general=product)
        self.distribution = nn.vmap(DistributionEncoder, **per_modality)(
            config.distribution_heads, config.initial_std, config.min_std, config.matmul
        )
        self.fusion = CrossModalFusion(
            config.fused_size, config.fusion_heads, config.cross_modal_interaction, config.residual, config.matmul
        )
        self.syntactic = SyntacticEncoder(
            syntactic_size, config.semantic_edge_weights, config.residual, config.dropout, config.matmul
        )
        self.semantic = SemanticEncoder(
            config.fused_size - syntactic_size,
            config.semantic_heads,
            config.window_past,
            0 if config.causal else config.window_future,
            config.max_hops,
            config.semantic_position_encoding,
            config.attended_value,
            config.matmul,
        )
        self.classifier_hidden = nn.Dense(config.fused_size, dot_general=product)
        self.classifier_out = nn.Dense(self.num_classes, dot_general=product)
        self.input_drop = Dropout(config.input_dropout)
        self.drop = Dropout(config.dropout)
        self.prototypes = self.param(
            "prototypes", nn.initializers.normal(1.0), (config.num_prototypes, config.hidden_size)
        )

    def __call__(self, batch: Batch, *, train: bool = False, sample: bool = False) -> NetworkOutput:
        """Name the emotion of every utterance of a batch.

        Args:
            batch: rows of dialogues.
            train: draws from the latent Gaussians (stream "sample") and drops features (stream "dropout").
            sample: draws from the latent Gaussians and drops nothing.

        Returns:
            NetworkOutput.
        """
        config = self.config
        modalities = sorted(batch.features)
        available = jnp.stack([batch.available[name] for name in modalities])
        allowed = dialogue_pairs(batch.dialogue, batch.mask, config.causal)

        # Encode: u~ of each modality in the context of its dialogue; align: s~ and t~ on the unit sphere.
        hidden = self._encode(batch, train)
        embeddings = jnp.where(available[..., None], safe_normalize(self.projection(hidden)), 0.0)
        # Distribute. Differs from the paper, which reads the unit vectors here: noise would drown their small entries.
        read = hidden if config.distribution_input == "hidden" else embeddings
        latents = self.distribution(read, allowed[None] & available[:, :, None, :])
        # Fuse: eqs. 14-21.
        weighted, weights = self._weigh(latents, available, train or sample)
        nodes = self.fusion(weighted, available, allowed)
        nodes = jnp.where(batch.mask[..., None], nodes, 0.0)
        # Connect and refine: eqs. 22-26.
        syntactic, semantic = self._refine(self.drop(nodes, deterministic=not train), batch, allowed, train)
        # Classify: eqs. 27-28; the softmax of eq. 28 is left to the loss and to the reader of the logits.
        refined = jnp.concatenate([syntactic, semantic], axis=-1)
        if config.residual:
            refined = refined + nodes  # Differs from the paper: h_i is the refinement alone.
        if config.classifier_skip:
            refined = jnp.concatenate([refined, nodes, *weighted], axis=-1)
        refined = self.drop(refined, deterministic=not train)
        logits = self.classifier_out(self.drop(nn.relu(self.classifier_hidden(refined)), deterministic=not train))
        return NetworkOutput(logits, embeddings, latents, weights, nodes, syntactic, semantic)

    def _encode(self, batch: Batch, train: bool) -> Array:
        features = {}
        for name, values in batch.features.items():
            measured = jnp.where(batch.available[name][..., None], values, 0.0)
            features[name] = self.input_drop(measured, deterministic=not train)
        hidden = self.encoder(features, batch.dialogue, batch.mask)
        return self.drop(hidden, deterministic=not train)

    def _weigh(self, latents: Gaussian, available: Array, sample: bool) -> tuple[Array, Array]:
        config = self.config
        sampled = latents.mean
        if sample:
            sampled = sampled + latents.std * jax.random.normal(self.make_rng("sample"), latents.std.shape)
        weights = fusion_weights(
            latents.std, available, uncertainty=config.uncertainty, weighted=config.uncertainty_weighting
        )
        if config.fusion_input == "sampled" and config.cross_modal_interaction:
            return jnp.where(available[..., None], sampled, 0.0), weights
        return weights[..., None] * sampled, weights  # Eqs. 16-17; a missing modality weighs nothing.

    def _refine(self, nodes: Array, batch: Batch, allowed: Array, train: bool) -> tuple[Array, Array]:
        config = self.config
        rows, slots, size = nodes.shape
        half = size // 2
        similarity = semantic_similarity(nodes, config.similarity)
        syntactic = jnp.zeros((rows, slots, half), nodes.dtype)
        semantic = jnp.zeros((rows, slots, size - half), nodes.dtype)
        if config.syntactic_encoder:
            # A row whose length is not known yet may be long.
            short = not is_symbolic_dim(slots) and slots <= MAX_DENSE_SLOTS
            build_graph = build_dense_graph if short else build_semantic_graph
            graph = build_graph(
                nodes,
                similarity,
                batch.speakers,
                batch.dialogue,
                batch.mask,
                past=config.window_past,
                future=0 if config.causal else config.window_future,
            )
            syntactic = self.syntactic(graph, train=train).reshape(rows, slots, half)
            syntactic = jnp.where(batch.mask[..., None], syntactic, 0.0)
        if config.semantic_encoder:
            semantic = self.semantic(nodes, similarity, allowed)
        return syntactic, semantic


def build_network(config: ModelConfig, num_classes: int) -> Network:
    """The network of a configuration; the modalities and their sizes come with the first batch.

    Args:
        config: sizes, readings and ablations.
        num_classes: C.

    Returns:
        A flax module.
    """
    return Network(config, num_classes)
