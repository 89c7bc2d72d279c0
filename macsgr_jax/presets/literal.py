"""The paper as printed, wherever the printed form can be computed."""

from macsgr_jax.config import Config, LossConfig, ModelConfig, TrainConfig

LITERAL = Config(
    model=ModelConfig(
        input_dropout=0.0,
        max_std=0.0,
        distribution_input="embedding",
        fusion_input="sampled",
        similarity="printed",
        attended_value="self",
        residual=False,
        classifier_skip=False,
    ),
    loss=LossConfig(offset_form="printed", class_balance=0.0),
    train=TrainConfig(
        epochs=150,
        learning_rate=1e-4,
        schedule="restarts",
        weight_decay=1e-3,
        weight_decay_mode="decoupled",
        clip_norm=0.0,
        utterance_dropout=0.0,
        checkpoint="best",
    ),
)
