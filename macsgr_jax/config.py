"""The schema of every setting: typed, frozen, with the paper's value beside ours.

A `Config` is a pytree (`macsgr_jax.types` registers it, so that reading the command line does not import JAX): the
hyperparameters declared with `traced` are its leaves, everything else is part of its structure. Runs whose
configurations have the same structure are one program.

A field that settles an ambiguity of the paper says so; the preset `literal` takes the printed form of each.
"""

import dataclasses
from typing import Annotated, Any, Literal

import pydantic

from macsgr_jax.errors import InputError
from macsgr_jax.limits import MAX_EPOCHS, MAX_SEED

Fraction = Annotated[float, pydantic.Field(ge=0, lt=1)]
ClosedFraction = Annotated[float, pydantic.Field(ge=0, le=1)]
# Within what float32 holds, and sizes within what a machine does: a setting may come from a file.
PositiveFloat = Annotated[float, pydantic.Field(gt=0, le=1e30, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, pydantic.Field(ge=0, le=1e30, allow_inf_nan=False)]
AnyFloat = Annotated[float, pydantic.Field(ge=-1e30, le=1e30, allow_inf_nan=False)]
Size = Annotated[int, pydantic.Field(gt=0, le=100_000)]
Slots = Annotated[int, pydantic.Field(ge=0, le=10_000_000)]
Reach = Annotated[int, pydantic.Field(ge=0, le=10_000)]
Epochs = Annotated[int, pydantic.Field(gt=0, le=MAX_EPOCHS)]
AutomaticEpochs = Annotated[int, pydantic.Field(ge=0, le=MAX_EPOCHS)]
Seed = Annotated[int, pydantic.Field(ge=0, le=MAX_SEED)]
Matmul = Literal["float32", "bfloat16"]


def traced(default: float) -> Any:
    """Declares a hyperparameter that a program traces: runs that differ in it alone share one compilation."""
    return dataclasses.field(default=default, metadata={"traced": True})


def split_fields(section: type) -> tuple[list[str], list[str]]:
    """Returns the names of a section's traced hyperparameters and those of its static settings."""
    names: dict[bool, list[str]] = {True: [], False: []}
    for field in dataclasses.fields(section):
        names[field.metadata.get("traced", False)].append(field.name)
    return names[True], names[False]


@pydantic.with_config(extra="forbid")
@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which features, which dialogues, which shapes.

    Attributes:
        features: feature sets to join, such as text_minilm,audio_mfcc; empty takes all that the corpus has.
        clip: standardised features are clipped to this many standard deviations; 0 does not clip.
        validation_fraction: share of the training dialogues held out where the corpus has no validation split.
        validation_seed: seed of that hold-out.
        slots_per_row: slots of a row; 0 takes the longest dialogue of the corpus.
        precision: of the standardised features where they wait on a device; float16 takes half the memory.
    """

    features: tuple[str, ...] = ()
    clip: NonNegativeFloat = 5.0
    validation_fraction: Fraction = 0.15
    validation_seed: Seed = 0
    slots_per_row: Slots = 0
    precision: Literal["float32", "float16"] = "float32"


@pydantic.with_config(extra="forbid")
@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network: sizes, readings of the paper, and one switch an ablation.

    Attributes:
        hidden_size: d_e, features of an encoded utterance (paper: 150), half of them from each direction.
        fused_size: d_f, features of a node of the semantic graph (paper: 100).
        dropout: share of hidden features dropped in training (paper: 0.5).
        input_dropout: share of input features dropped in training (paper: none).
        distribution_heads: heads of the probability distribution encoder, Fig. 2 (paper: unsaid).
        fusion_heads: heads of the cross-modal attention, Fig. 3 (paper: 4).
        semantic_heads: heads of the semantic encoder (paper: 2).
        window_past: edges reach this many utterances back (paper: unsaid).
        window_future: edges reach this many utterances ahead (paper: unsaid).
        max_hops: shortest paths longer than this share one encoding.
        num_prototypes: K, prototypes of the clustering (paper: 500).
        initial_std: standard deviation of the latent Gaussians before training.
        min_std: standard deviations never fall below this.
        max_std: standard deviations never exceed this; literal: 0, which only cuts them at exp(3), so that training may
            collapse (docs/lab_notes.md).
        causal: nothing of the future: forward recurrence, attention to the past, no future edges.
        distribution_input: what the distribution encoder reads: the hidden state, or (literal) its unit vector.
        fusion_input: what the cross-modal attention reads, eqs. 18-20: the weighted features X~, or (literal) X.
        uncertainty: omega grows with sigma as printed in eqs. 14-15 (direct), or falls with it (inverse).
        similarity: eq. 22 as 1 - arccos / pi (scaled), or (literal) 1 - arccos (printed).
        attended_value: eq. 26 sums W_v g_j (neighbour), or (literal) W_v g_i, where attention cancels (self).
        residual: a path around the cross-attention, the graph convolutions and the refinement; literal: none.
        classifier_skip: the classifier also reads the fused nodes and the utterance encodings directly; literal: no.
        modality_classifiers: a linear classifier of each modality alone, whose errors teach sigma which to trust
            (`loss.gamma_uncertainty`; paper: none).
        uncertainty_weighting: False is the ablation "w/o UW": equal weights.
        cross_modal_interaction: False is the ablation "w/o CMI": a weighted sum instead of attention.
        syntactic_encoder: False is the ablation "w/o SyE".
        semantic_encoder: False is the ablation "w/o SeE".
        semantic_edge_weights: False is the ablation "w/o SEW": every edge of eq. 23 weighs one.
        semantic_position_encoding: False is the ablation "w/o SPE": eqs. 25-26 without the bias of eq. 24.
        matmul: precision of the products with weights; weights and sums stay float32 (paper: unsaid).
    """

    hidden_size: Size = 150
    fused_size: Size = 100
    dropout: Fraction = 0.5
    input_dropout: Fraction = 0.3
    distribution_heads: Size = 4
    fusion_heads: Size = 4
    semantic_heads: Size = 2
    window_past: Reach = 10
    window_future: Reach = 10
    max_hops: Size = 8
    num_prototypes: Size = 500
    initial_std: PositiveFloat = 0.05
    min_std: PositiveFloat = 1e-4
    max_std: NonNegativeFloat = 1.0
    causal: bool = False
    distribution_input: Literal["hidden", "embedding"] = "hidden"
    fusion_input: Literal["weighted", "sampled"] = "weighted"
    uncertainty: Literal["direct", "inverse"] = "direct"
    similarity: Literal["scaled", "printed"] = "scaled"
    attended_value: Literal["neighbour", "self"] = "neighbour"
    residual: bool = True
    classifier_skip: bool = True
    modality_classifiers: bool = False
    uncertainty_weighting: bool = True
    cross_modal_interaction: bool = True
    syntactic_encoder: bool = True
    semantic_encoder: bool = True
    semantic_edge_weights: bool = True
    semantic_position_encoding: bool = True
    matmul: Matmul = "float32"

    @property
    def reach_future(self) -> int:
        """Returns how many utterances ahead edges reach: `window_future`, or 0 for a causal network."""
        return 0 if self.causal else self.window_future

    def __post_init__(self) -> None:
        """Raise InputError where sizes do not divide, or bounds exclude each other."""
        if 0 < self.max_std <= self.initial_std:
            raise InputError(
                f"model.max_std = {self.max_std:g} has to be above model.initial_std = {self.initial_std:g}, or 0"
            )
        for name, size in (("hidden_size", self.hidden_size), ("fused_size", self.fused_size)):
            if size % 2:
                raise InputError(f"model.{name} = {size} has to be even: it is made of two halves")
        for name, size, heads in (
            ("twice model.hidden_size", 2 * self.hidden_size, "distribution_heads"),
            ("model.fused_size", self.fused_size, "fusion_heads"),
            ("half of model.fused_size", self.fused_size // 2, "semantic_heads"),
        ):
            if size % getattr(self, heads):
                raise InputError(
                    f"model.{heads} = {getattr(self, heads)} does not divide {name}, {size}: change one of them"
                )


@pydantic.with_config(extra="forbid")
@dataclasses.dataclass(frozen=True)
class LossConfig:
    """The objective, eqs. 1-13, 30 and 31.

    Attributes:
        lambda_alignment: lambda, weight of all alignment losses (paper: 0.6).
        gamma_instance: gamma_1, weight of the instance-level alignment (paper: 0.4).
        gamma_prototype: gamma_2, weight of the prototype-level alignment (paper: 0.4).
        gamma_latent: gamma_3, weight of the latent space alignment (paper: 0.3).
        gamma_uncertainty: weight of the supervision of sigma, beside lambda; of `model.modality_classifiers` alone.
        temperature_audio: tau of speech-speech pairs (paper: 0.1).
        temperature_text: tau of text-text pairs (paper: 0.3).
        temperature_other: tau of pairs within any other modality.
        temperature_cross: tau of pairs of two modalities (paper: 0.05).
        temperature_prototype: tau_2, of the prototypes (paper: 0.07).
        offset_intra: xi of pairs within a modality (paper: unsaid).
        offset_cross: xi of pairs of two modalities (paper: unsaid).
        offset_form: (cos - xi) / tau (inside), or (literal) cos / tau - xi (printed), eq. 3.
        gate_positives: only pairs with S > 1 are positive, as printed under eq. 5.
        sinkhorn_epsilon: entropic regularisation of the prototype codes.
        sinkhorn_iterations: iterations of Sinkhorn's algorithm.
        prototype_frozen_epochs: the prototypes stay as initialised this long.
        class_balance: 1 weighs every emotion of a batch the same, whatever its number of utterances, 0 every utterance
            (paper: 0).
        instance_alignment: False is the ablation "w/o IA".
        prototype_alignment: False is the ablation "w/o PA".
        latent_alignment: False is the ablation "w/o LSA".
    """

    lambda_alignment: NonNegativeFloat = traced(0.6)
    gamma_instance: NonNegativeFloat = traced(0.4)
    gamma_prototype: NonNegativeFloat = traced(0.4)
    gamma_latent: NonNegativeFloat = traced(0.3)
    gamma_uncertainty: NonNegativeFloat = traced(0.3)
    temperature_audio: PositiveFloat = traced(0.1)
    temperature_text: PositiveFloat = traced(0.3)
    temperature_other: PositiveFloat = traced(0.1)
    temperature_cross: PositiveFloat = traced(0.05)
    temperature_prototype: PositiveFloat = traced(0.07)
    offset_intra: AnyFloat = traced(0.0)
    offset_cross: AnyFloat = traced(0.0)
    offset_form: Literal["inside", "printed"] = "inside"
    gate_positives: bool = True
    sinkhorn_epsilon: PositiveFloat = 0.05
    sinkhorn_iterations: Size = 3
    prototype_frozen_epochs: Slots = 1
    class_balance: ClosedFraction = 0.5
    instance_alignment: bool = True
    prototype_alignment: bool = True
    latent_alignment: bool = True


@pydantic.with_config(extra="forbid")
@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Optimisation.

    Attributes:
        epochs: passes over the training split (paper: 150); 0 takes as many as the size of the corpus asks for
            (`training.optimizer.count_epochs`): 60 of a small one, 4 of a large one.
        dialogues_per_step: a step sees this many average dialogues' worth of slots (paper: unsaid).
        learning_rate: the largest learning rate (paper: 1e-4).
        min_learning_rate: where the cosine ends (paper: 1e-8).
        schedule: cosine over the whole run, cosine with restarts (literal), or constant.
        restart_epochs: period of the restarts (paper: 50).
        warmup_epochs: the learning rate grows linearly from 0 over this many epochs (paper: none).
        weight_decay: lambda_d (paper: 0.001).
        weight_decay_mode: the decay is added to the gradient (coupled), or (literal) theta <- (1 - lambda_d) theta in
            each step (decoupled).
        decay_distribution: whether the decay acts on the distribution encoder too. Where it does, it is larger than the
            gradients of sigma, which ends as a constant (docs/lab_notes.md; paper: yes).
        clip_norm: gradients are scaled down to this global norm; 0 does not clip (paper: none). Rare large gradients
            would fill Adam's second moment: at 5, training collapses on some corpora (docs/lab_notes.md).
        modality_dropout: share of utterances that lose one modality in training, if they have more (paper: none).
        feature_noise: in training, one modality of a row, or none, gets noise of up to this many standard deviations of
            a feature (paper: none).
        utterance_dropout: share of utterances left out of an epoch; their dialogues close up (paper: none).
        checkpoint: the weights reported: of the last epoch, or (literal) of the best validation WAF1.
    """

    epochs: AutomaticEpochs = 0
    dialogues_per_step: Size = 16
    learning_rate: PositiveFloat = traced(3e-3)
    min_learning_rate: NonNegativeFloat = 1e-8
    schedule: Literal["cosine", "restarts", "constant"] = "cosine"
    restart_epochs: Epochs = 50
    warmup_epochs: NonNegativeFloat = 0.0
    weight_decay: NonNegativeFloat = traced(1e-4)
    weight_decay_mode: Literal["coupled", "decoupled"] = "coupled"
    decay_distribution: bool = True
    clip_norm: NonNegativeFloat = 0.2
    modality_dropout: Fraction = 0.0
    feature_noise: NonNegativeFloat = 0.0
    utterance_dropout: Fraction = 0.5
    checkpoint: Literal["best", "last"] = "last"


@pydantic.with_config(extra="forbid")
@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of a run but its seed.

    Attributes:
        data: features, splits and shapes.
        model: the network.
        loss: the objective.
        train: the optimisation.
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()
