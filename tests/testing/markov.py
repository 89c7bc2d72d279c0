"""The synthetic corpus's documented model and its posterior, written again as loops."""

import math

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.synthetic import (
    EMOTIONS,
    FEATURE_SETS,
    SyntheticSettings,
    class_means,
)

BOTH = ("text", "audio")
REPLIES = dict(happy="neutral", sad="frustrated", neutral="happy", angry="angry", excited="excited", frustrated="sad")
LOPSIDED = (0.1, 0.3, 0.2, 0.1, 0.25, 0.05)


def chance(new: int, own: int, other: int, settings: SyntheticSettings) -> float:
    """The transition formula of the module's docstring, from the names of the emotions."""
    rest = 1 - settings.inertia - settings.contagion
    replies = REPLIES[EMOTIONS[other]] == EMOTIONS[new]
    return settings.inertia * (new == own) + settings.contagion * replies + rest * settings.base[new]


def unchanged(settings: SyntheticSettings) -> np.ndarray:
    """f64[6]: the marginal of the docstring, by repeating what it is a fixed point of."""
    steps, current = tabulate(settings), np.array(settings.base)
    for _ in range(300):
        current = np.einsum("w,o,won->n", current, current, steps)
        current /= current.sum()
    return current


def tabulate(settings: SyntheticSettings) -> np.ndarray:
    """f64[6, 6, 6], [own, other, new]."""
    return np.array([[[chance(n, w, o, settings) for n in range(6)] for o in range(6)] for w in range(6)])


def density(corpus: Corpus, row: int, emotion: int, modalities: tuple[str, ...], settings: SyntheticSettings) -> float:
    """p(measured features of a row | emotion), summed over the scales, one feature after the other."""
    product = 1.0
    for modality in modalities:
        name, means = FEATURE_SETS[modality], class_means(settings)[modality][emotion]
        total = 0.0
        for scale, prior in zip(settings.noise_scales, settings.scale_prior, strict=True):
            part = prior
            values = zip(corpus.features[name][row], means, corpus.measured[name][row], strict=True)
            for value, mean, seen in values:
                if seen:
                    part *= math.exp(-((float(value) - mean) ** 2) / (2 * scale**2)) / (scale * math.sqrt(2 * math.pi))
            total += part
        product *= total
    return product


def enumerate_posterior(
    corpus: Corpus, dialogue: int, modalities: tuple[str, ...], settings: SyntheticSettings
) -> np.ndarray:
    """f64[L, 6]: posterior of one dialogue from every sequence of emotions and every pair before it."""
    start, end = corpus.offsets[dialogue : dialogue + 2]
    length, before, steps = end - start, unchanged(settings), tabulate(settings).tolist()
    densities = [[density(corpus, row, k, modalities, settings) for k in range(6)] for row in range(start, end)]
    totals = np.zeros((length, 6))

    def extend(pair: tuple[int, int], sequence: tuple[int, ...], weight: float) -> None:
        if len(sequence) == length:
            for turn, emotion in enumerate(sequence):
                totals[turn, emotion] += weight
            return
        speaker = corpus.speakers[start + len(sequence)]
        for new in range(6):
            step = steps[pair[speaker]][pair[1 - speaker]][new] * densities[len(sequence)][new]
            extend((new, pair[1]) if speaker == 0 else (pair[0], new), (*sequence, new), weight * step)

    for a in range(6):
        for b in range(6):
            extend((a, b), (), before[a] * before[b])
    return totals / totals.sum(axis=1, keepdims=True)
