"""The recipe for any corpus."""

from macsgr_jax.config import Config

DEFAULT = Config()
