"""The published recipe for MELD, chosen by its validation split (docs/lab_notes.md)."""

from macsgr_jax.config import Config, DataConfig, LossConfig, ModelConfig, TrainConfig

MELD = Config(
    data=DataConfig(features=("text_minilm", "text_lsa", "text_use", "audio_prosody")),
    model=ModelConfig(max_std=0.0),
    loss=LossConfig(class_balance=0.4, lambda_alignment=0.2),
    train=TrainConfig(epochs=20, warmup_epochs=2.0, clip_norm=5.0, utterance_dropout=0.2),
)
