"""The exact posterior of the synthetic corpus, and with it the best score that any classifier can expect on it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.synthetic import (
    DEFAULTS,
    EMOTIONS,
    FEATURE_SETS,
    SyntheticSettings,
    class_means,
    marginal,
    transition_table,
)
from macsgr_jax.errors import InputError
from macsgr_jax.weighted_f1 import weighted_f1


class Score(NamedTuple):
    """How well the most probable emotions match the labels.

    Attributes:
        accuracy: fraction of the utterances that are classified correctly.
        weighted_f1: WAF1, eq. 33.
    """

    accuracy: float
    weighted_f1: float


def exact_posterior(
    corpus: Corpus,
    settings: SyntheticSettings = DEFAULTS,
    modalities: Sequence[str] = ("text", "audio"),
    context: bool = True,
) -> np.ndarray:
    """Computes the probability of each emotion given the measured features and the speakers.

    No classifier can know more than this posterior.

    Args:
        corpus: a corpus of `generate`.
        settings: the settings that it was generated with.
        modalities: the modalities that are observed, any subset of text and audio.
        context: whether the whole dialogue is observed (forward-backward over the 36 pairs of emotions), or each
            utterance alone, with the marginal m as prior.

    Returns:
        f64[U, 6], whose rows sum to one.

    Raises:
        InputError: a modality is unknown, or the corpus is not of this model.
    """
    log_likelihood, means = np.zeros((corpus.num_utterances, len(EMOTIONS))), class_means(settings)
    for modality in sorted(set(modalities)):
        if modality not in means:
            raise InputError(f"modalities has {modality!r}: the synthetic corpus has {', '.join(means)}.")
        log_likelihood += _log_likelihood(corpus, modality, means[modality], settings)
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    joint = _smooth(corpus, likelihood, settings) if context else likelihood * marginal(settings)
    return joint / joint.sum(axis=1, keepdims=True)


def best_scores(corpus: Corpus, split: str = "test", settings: SyntheticSettings = DEFAULTS) -> dict[str, Score]:
    """Computes the scores of the most probable emotions of the exact posterior on a split.

    No classifier has a higher accuracy on average over corpora; on one corpus of finite size luck can exceed it.

    Args:
        corpus: a corpus of `generate`.
        split: train, validation or test.
        settings: the settings that the corpus was generated with.

    Returns:
        The scores of both (modalities in context), no_context (both, each utterance alone), text and audio (each in
        context).
    """
    rows, everything = corpus.utterances_of(split), tuple(FEATURE_SETS)
    views = {"both": everything, "no_context": everything, "text": ("text",), "audio": ("audio",)}
    posteriors = {name: exact_posterior(corpus, settings, views[name], name != "no_context")[rows] for name in views}
    return {name: _score(corpus.labels[rows], posterior.argmax(axis=1)) for name, posterior in posteriors.items()}


def _score(labels: np.ndarray, predictions: np.ndarray) -> Score:
    """Scores predictions i[n] of labels i[n], n at least 1."""
    confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)), np.int64)
    np.add.at(confusion, (labels, predictions), 1)
    return Score(accuracy=float(np.mean(labels == predictions)), weighted_f1=float(weighted_f1(confusion)))


def _log_likelihood(corpus: Corpus, modality: str, means: np.ndarray, settings: SyntheticSettings) -> np.ndarray:
    """Returns f64[U, 6], log p(x | emotion) of one modality, with the scale summed out."""
    name = FEATURE_SETS[modality]
    if name not in corpus.features or corpus.features[name].shape[1] != means.shape[1]:
        wanted = f"feature set {name} of {means.shape[1]} features"
        raise InputError(f"Corpus {corpus.name!r} has no {wanted}: give one of synthetic.generate with these settings.")
    measured = corpus.measured[name]
    deviations = np.where(measured[:, None], corpus.features[name][:, None].astype(np.float64) - means, 0.0)
    squares, sizes = np.sum(deviations**2, axis=-1), measured.sum(axis=1)[:, None]
    total = np.full(squares.shape, -np.inf)
    for scale, prior in zip(settings.noise_scales, settings.scale_prior, strict=True):
        total = np.logaddexp(total, np.log(prior) - sizes / 2 * np.log(2 * np.pi * scale**2) - squares / 2 / scale**2)
    return total


def _smooth(corpus: Corpus, likelihood: np.ndarray, settings: SyntheticSettings) -> np.ndarray:
    """Returns f64[U, 6], rows proportional to the posterior, by forward-backward over pairs of emotions."""
    transition, before = transition_table(settings), marginal(settings)
    starts, lengths, count = corpus.offsets[:-1], corpus.lengths, len(EMOTIONS)
    active = [np.flatnonzero(lengths > position) for position in range(lengths.max())]
    swapped = corpus.speakers != np.repeat(corpus.speakers[starts], lengths)
    forward = np.empty((corpus.num_utterances, count, count))  # [own, listener's], each after its own utterance
    state = np.tile(np.multiply.outer(before, before), (corpus.num_dialogues, 1, 1))  # [first speaker's, the other's]
    for position, dialogues in enumerate(active):
        rows = starts[dialogues] + position
        before = _orient(state[dialogues], swapped[rows])
        after = np.einsum("dwo,won->dno", before, transition) * likelihood[rows][:, :, None]
        forward[rows] = after / after.sum(axis=(1, 2), keepdims=True)
        state[dialogues] = _orient(forward[rows], swapped[rows])
    joint = np.empty((corpus.num_utterances, count))
    future = np.ones((corpus.num_dialogues, count, count))
    for position, dialogues in reversed(list(enumerate(active))):
        rows = starts[dialogues] + position
        after = _orient(future[dialogues], swapped[rows])
        joint[rows] = np.sum(forward[rows] * after, axis=2)
        before = np.einsum("dno,won->dwo", after * likelihood[rows][:, :, None], transition)
        future[dialogues] = _orient(before / before.sum(axis=(1, 2), keepdims=True), swapped[rows])
    return joint


def _orient(pairs: np.ndarray, swapped: np.ndarray) -> np.ndarray:
    """Transposes f64[d, 6, 6] where `swapped`, bool[d]."""
    return np.where(swapped[:, None, None], pairs.transpose(0, 2, 1), pairs)
