"""The published recipe for CMU-MOSI, chosen by leaving out quarters of the training videos (docs/lab_notes.md).

The simplest settings within one standard error of the best were taken, not the best.
"""

from macsgr_jax.config import Config, LossConfig, ModelConfig, TrainConfig

MOSI = Config(
    model=ModelConfig(input_dropout=0.6, max_std=0.0),
    loss=LossConfig(class_balance=0.0),
    train=TrainConfig(epochs=20, weight_decay=0.1, clip_norm=5.0),
)
