"""The published recipe for CMU-MOSEI, chosen by its validation split (docs/lab_notes.md)."""

from macsgr_jax.config import Config, DataConfig, LossConfig, TrainConfig

MOSEI = Config(
    data=DataConfig(features=("text_mpnet", "audio_timing")),
    loss=LossConfig(class_balance=0.25),
    train=TrainConfig(learning_rate=1e-3),
)
