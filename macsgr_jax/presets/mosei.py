"""The recipe for CMU-MOSEI: the default one, on sentence embeddings and the times of its words."""

from macsgr_jax.config import Config, DataConfig

MOSEI = Config(data=DataConfig(features=("text_mpnet", "audio_timing")))
