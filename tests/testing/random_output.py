"""A random output of a network, for tests of the objective that need no network."""

import numpy as np

from macsgr_jax.models.fusion import fusion_weights
from macsgr_jax.types import Batch, Gaussian, NetworkOutput

ROWS, SLOTS, CLASSES, K = 2, 4, 3, 5
MODALITIES = ("audio", "text")


def draw_output(seed: int = 0) -> tuple[NetworkOutput, Batch, np.ndarray]:
    """Draws an output of a network for a batch with padding and missing modalities, the batch, and prototypes."""
    random = np.random.default_rng(seed)
    places = (len(MODALITIES), ROWS, SLOTS)
    embeddings, mean = random.normal(size=(2, *places, 4)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=-1, keepdims=True)
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool)
    available = mask & (random.random(places) < 0.8)
    nothing = np.zeros((ROWS, SLOTS, 1), np.float32)
    std = random.uniform(0.1, 1, mean.shape).astype(np.float32)
    output = NetworkOutput(
        logits=random.normal(size=(ROWS, SLOTS, CLASSES)).astype(np.float32),
        embeddings=np.where(available[..., None], embeddings, 0),
        latents=Gaussian(mean, std),
        weights=np.asarray(fusion_weights(std, available)),
        nodes=nothing,
        syntactic=nothing,
        semantic=nothing,
        modality_logits=random.normal(size=(*places, CLASSES)).astype(np.float32),
    )
    batch = Batch(
        # Not in alphabetical order, which is the network's.
        features={name: nothing for name in reversed(MODALITIES)},
        available={name: available[m] for m, name in reversed(list(enumerate(MODALITIES)))},
        speakers=np.zeros((ROWS, SLOTS), np.int32),
        labels=random.integers(0, CLASSES, (ROWS, SLOTS)),
        dialogue=np.where(mask, 0, -1),
        mask=mask,
    )
    return output, batch, random.normal(size=(K, 4)).astype(np.float32)
