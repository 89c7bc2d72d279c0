"""The published recipe for IEMOCAP, chosen by leaving out Sessions 1 to 4 in turn (docs/lab_notes.md)."""

from macsgr_jax.config import Config, DataConfig, LossConfig, ModelConfig, TrainConfig

IEMOCAP = Config(
    data=DataConfig(features=("text_minilm", "text_lsa", "audio_mfcc", "audio_prosody")),
    model=ModelConfig(max_std=0.0),
    loss=LossConfig(class_balance=0.0),
    train=TrainConfig(epochs=60, clip_norm=5.0),
)
