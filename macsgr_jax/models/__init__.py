"""The network and its parts: flax.linen modules, without losses and without data."""

from macsgr_jax.models.network import Network, build_network

__all__ = ["Network", "build_network"]
