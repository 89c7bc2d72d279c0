"""The published recipe for IEMOCAP, chosen by leaving out Sessions 1 to 4 in turn (docs/lab_notes.md)."""

from macsgr_jax.config import Config, DataConfig, TrainConfig

IEMOCAP = Config(
    data=DataConfig(features=("text_minilm", "text_lsa", "audio_mfcc", "audio_prosody")),
    train=TrainConfig(clip_norm=5.0),
)
