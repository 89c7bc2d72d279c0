"""Reuse one loss of the paper in JAX code of your own: jitted, differentiated, and mapped over temperatures."""

import jax
import jax.numpy as jnp
from jax import Array

from macsgr_jax import losses

MODALITIES, UTTERANCES, FEATURES, SIZE, EMOTIONS, STEPS = 2, 48, 20, 8, 4, 100


def train(temperature: Array, features: Array, labels: Array, mask: Array) -> Array:
    """Trains a linear encoder with the instance alignment alone; returns the loss of each step, f32[STEPS]."""
    temperatures, offsets = jnp.full((MODALITIES, MODALITIES), temperature), jnp.zeros((MODALITIES, MODALITIES))

    def objective(kernel: Array) -> Array:
        projected = jnp.einsum("mud,mde->mue", features, kernel)
        embeddings = projected / jnp.linalg.norm(projected, axis=-1, keepdims=True)
        return losses.instance_alignment(embeddings, labels, mask, temperatures, offsets)

    def step(kernel: Array, _: None) -> tuple[Array, Array]:
        loss, gradient = jax.value_and_grad(objective)(kernel)
        return kernel - 0.3 * gradient, loss

    return jax.lax.scan(step, jax.random.normal(jax.random.key(0), (MODALITIES, FEATURES, SIZE)), length=STEPS)[1]


def main() -> Array:
    """Trains at three temperatures as one program; returns the losses, f32[3, STEPS]."""
    labels = jnp.arange(UTTERANCES) % EMOTIONS
    means = jax.random.normal(jax.random.key(1), (MODALITIES, EMOTIONS, FEATURES))
    features = means[:, labels] + jax.random.normal(jax.random.key(2), (MODALITIES, UTTERANCES, FEATURES))
    mask = jnp.ones((MODALITIES, UTTERANCES), bool).at[1, -6:].set(False)  # Six utterances lack the second modality.
    temperatures = jnp.array([0.05, 0.1, 0.3])
    curves = jax.jit(jax.vmap(train, in_axes=(0, None, None, None)))(temperatures, features, labels, mask)
    for temperature, curve in zip(temperatures, curves, strict=True):
        print(f"temperature {temperature:.2f}: instance alignment {curve[0]:.2f} -> {curve[-1]:.2f}")
    return curves


if __name__ == "__main__":
    main()
