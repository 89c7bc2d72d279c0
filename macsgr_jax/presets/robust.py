"""A network for noisy recordings: it is trained with noise, and its fusion weights know which modality to trust.

Chosen by leaving out Session 1 of IEMOCAP (docs/lab_notes.md).
"""

from macsgr_jax.config import Config, ModelConfig, TrainConfig

ROBUST = Config(
    model=ModelConfig(uncertainty="inverse", modality_classifiers=True),
    train=TrainConfig(decay_distribution=False, modality_dropout=0.1, feature_noise=3.0),
)
