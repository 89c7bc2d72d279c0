"""A network that sees nothing of the future, so that it can predict while a conversation goes on."""

from macsgr_jax.config import Config, ModelConfig

CAUSAL = Config(model=ModelConfig(causal=True))
