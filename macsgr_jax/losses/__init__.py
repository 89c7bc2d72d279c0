"""The objective and its parts, each a pure function of arrays: safe under jit, vmap and grad, with any mask."""

from macsgr_jax.losses.classification import classification
from macsgr_jax.losses.instance import dense_instance_alignment, instance_alignment
from macsgr_jax.losses.latent import latent_alignment
from macsgr_jax.losses.objective import TERMS, total_loss
from macsgr_jax.losses.prototype import prototype_alignment, sinkhorn_codes
from macsgr_jax.losses.uncertainty import uncertainty_supervision

__all__ = [
    "TERMS",
    "classification",
    "dense_instance_alignment",
    "instance_alignment",
    "latent_alignment",
    "prototype_alignment",
    "sinkhorn_codes",
    "total_loss",
    "uncertainty_supervision",
]
