"""The exact posterior of the embedded corpus is exact."""

import dataclasses

import numpy as np
import pytest

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.synthetic import DEFAULTS, SyntheticSettings, generate
from macsgr_jax.data.synthetic_posterior import exact_posterior
from tests.testing.markov import BOTH, LOPSIDED, density, enumerate_posterior, unchanged


@pytest.mark.parametrize("modalities", [BOTH, ("text",), ("audio",)])
def test_exact_posterior_equals_enumeration_of_all_sequences(modalities: tuple[str, ...]) -> None:
    settings = SyntheticSettings(min_length=1, max_length=4, inertia=0.2, contagion=0.45, base=LOPSIDED, sizes=(7, 6))
    corpus = generate(40, seed=3, settings=settings)
    hidden = np.random.default_rng(0).random(corpus.features["text_synthetic"].shape) < 0.3
    corpus.measured["text_synthetic"][hidden] = False
    corpus.features["text_synthetic"][hidden] = 0.0
    posterior = exact_posterior(corpus, settings, modalities)
    first_of_length = [int(np.flatnonzero(corpus.lengths == length)[0]) for length in (1, 2, 3, 4)]
    assert any(len(set(corpus.speakers[corpus.offsets[d] : corpus.offsets[d + 1]])) == 2 for d in first_of_length)
    for dialogue in first_of_length:
        rows = slice(corpus.offsets[dialogue], corpus.offsets[dialogue + 1])
        expected = enumerate_posterior(corpus, dialogue, modalities, settings)
        np.testing.assert_allclose(posterior[rows], expected, rtol=0, atol=1e-9)


def test_posterior_without_context_is_bayes_rule_on_one_utterance() -> None:
    settings = SyntheticSettings(sizes=(6, 6), base=LOPSIDED)
    corpus = generate(3, settings=settings)
    prior, posterior = unchanged(settings), exact_posterior(corpus, settings, context=False)
    for row in (0, 1, corpus.num_utterances - 1):
        joint = np.array([prior[k] * density(corpus, row, k, BOTH, settings) for k in range(6)])
        np.testing.assert_allclose(posterior[row], joint / joint.sum(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("context", [True, False])
def test_posterior_without_any_modality_is_the_marginal(default: Corpus, context: bool) -> None:
    posterior = exact_posterior(default, modalities=(), context=context)
    np.testing.assert_allclose(posterior, np.tile(unchanged(DEFAULTS), (default.num_utterances, 1)), atol=1e-9)


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize("modalities", [BOTH, ("text",), ("audio",)])
def test_posterior_rows_sum_to_one_even_far_from_every_mean(
    default: Corpus, modalities: tuple[str, ...], context: bool
) -> None:
    far = {name: values * np.float32(300) for name, values in default.features.items()}
    for corpus in (default, dataclasses.replace(default, features=far)):
        posterior = exact_posterior(corpus, modalities=modalities, context=context)
        assert posterior.shape == (default.num_utterances, 6) and posterior.dtype == np.float64
        assert posterior.min() >= 0
        np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=0, atol=1e-12)


def test_posterior_does_not_depend_on_the_names_of_the_speakers_or_on_other_dialogues(default: Corpus) -> None:
    expected = exact_posterior(default)
    exchanged = dataclasses.replace(default, speakers=1 - default.speakers)
    np.testing.assert_allclose(exact_posterior(exchanged), expected, rtol=0, atol=1e-12)
    end = default.offsets[1]
    alone = dataclasses.replace(
        default,
        features={name: values[:end] for name, values in default.features.items()},
        measured={name: values[:end] for name, values in default.measured.items()},
        labels=default.labels[:end],
        speakers=default.speakers[:end],
        offsets=default.offsets[:2],
    )
    np.testing.assert_allclose(exact_posterior(alone), expected[:end], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("modalities", "context"), [(BOTH, True), (BOTH, False), (("text",), True), (("audio",), True)]
)
def test_posterior_is_calibrated(large: Corpus, modalities: tuple[str, ...], context: bool) -> None:
    posterior = exact_posterior(large, modalities=modalities, context=context)
    confidence, right = posterior.max(axis=1), posterior.argmax(axis=1) == large.labels
    for low, high in ((0.0, 1.0), (0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.0)):
        chosen = (confidence > low) & (confidence <= high)
        assert_mean_is_zero(np.where(chosen, confidence - right, 0.0), large)
    for emotion in range(6):
        assert_mean_is_zero(posterior[:, emotion] - (large.labels == emotion), large)


def assert_mean_is_zero(excess: np.ndarray, corpus: Corpus) -> None:
    """The mean is within 4.5 standard errors of zero, where dialogues, not utterances, are independent."""
    sums = np.add.reduceat(excess, corpus.offsets[:-1])
    assert abs(sums.mean()) < 4.5 * sums.std() / np.sqrt(len(sums))
