"""The embedded corpus follows its documented model."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.data.synthetic import (
    DEFAULTS,
    EMOTIONS,
    FEATURE_SETS,
    SyntheticSettings,
    class_means,
    generate,
    marginal,
    transition_table,
)
from macsgr_jax.data.synthetic_posterior import best_scores, exact_posterior
from macsgr_jax.errors import InputError
from tests.testing.markov import BOTH, LOPSIDED, tabulate, unchanged


def test_transitions_happen_as_often_as_documented(large: Corpus) -> None:
    counts = np.zeros((6, 6, 6))
    for start, end in zip(large.offsets[:-1], large.offsets[1:], strict=True):
        last: dict[int, int] = {}
        for row in range(start, end):
            speaker, emotion = int(large.speakers[row]), int(large.labels[row])
            if len(last) == 2:
                counts[last[speaker], last[1 - speaker], emotion] += 1
            last[speaker] = emotion
    expected = tabulate(DEFAULTS)
    np.testing.assert_allclose(transition_table(), expected, rtol=0, atol=1e-12)
    trials = counts.sum(axis=2, keepdims=True)
    assert trials.min() > 300
    errors = (counts - trials * expected) / np.sqrt(trials * expected * (1 - expected))
    assert np.abs(errors).max() < 4.5
    assert 0.8 < errors.std() < 1.2


def test_every_utterance_has_the_marginal_from_the_first_on() -> None:
    settings = SyntheticSettings(min_length=1, max_length=3, inertia=0.7, contagion=0.28, base=LOPSIDED)
    corpus, expected = generate(6000, settings=settings), unchanged(settings)
    np.testing.assert_allclose(marginal(settings), expected, rtol=0, atol=1e-12)
    for rows in (corpus.offsets[:-1], corpus.offsets[1:][corpus.lengths > 1] - 1):
        errors = np.bincount(corpus.labels[rows], minlength=6) / len(rows) - expected
        assert np.abs(errors / np.sqrt(expected * (1 - expected) / len(rows))).max() < 4.5


def test_lengths_and_turns_are_as_documented(large: Corpus) -> None:
    assert (large.lengths.min(), large.lengths.max()) == (8, 40)
    expected = 7.5 + 33 / 3
    assert abs(large.lengths.mean() - expected) < 4.5 * large.lengths.std() / np.sqrt(large.num_dialogues)
    within = np.ones(large.num_utterances, bool)
    within[large.offsets[:-1]] = False
    changes = (np.diff(large.speakers, prepend=0) != 0)[within]
    assert abs(changes.mean() - 0.9) < 4.5 * np.sqrt(0.9 * 0.1 / len(changes))
    assert abs(large.speakers[large.offsets[:-1]].mean() - 0.5) < 4.5 * 0.5 / np.sqrt(large.num_dialogues)


@pytest.mark.parametrize("modality", BOTH)
def test_features_have_the_documented_means_and_noise(large: Corpus, modality: str) -> None:
    noise = large.features[FEATURE_SETS[modality]] - class_means()[modality][large.labels]
    for emotion in range(6):
        chosen = noise[large.labels == emotion]
        assert np.abs(chosen.mean(axis=0)).max() < 4.5 * chosen.std() / np.sqrt(len(chosen))
    halves = np.mean(noise[:, ::2] ** 2, axis=1), np.mean(noise[:, 1::2] ** 2, axis=1)
    powers = [sum(np.array(DEFAULTS.scale_prior) * np.array(DEFAULTS.noise_scales) ** k) for k in (2, 4)]
    for values, expected in ((halves[0], powers[0]), (halves[0] * halves[1], powers[1])):
        assert abs(values.mean() - expected) < 4.5 * values.std() / np.sqrt(len(values))


def test_scales_of_the_modalities_are_independent(large: Corpus) -> None:
    noises = [large.features[FEATURE_SETS[m]] - class_means()[m][large.labels] for m in BOTH]
    correlation = np.corrcoef([np.mean(noise**2, axis=1) for noise in noises])[0, 1]
    assert abs(correlation) < 4.5 / np.sqrt(large.num_utterances)


def test_class_means_of_a_pair_are_close_and_of_the_others_far() -> None:
    for means, distance in zip(class_means().values(), DEFAULTS.distances, strict=True):
        gaps = np.linalg.norm(means[:, None] - means, axis=-1)
        for one, other in (("happy", "excited"), ("angry", "frustrated")):
            assert gaps[EMOTIONS.index(one), EMOTIONS.index(other)] == pytest.approx(DEFAULTS.pair_distance)
        others = gaps[gaps > DEFAULTS.pair_distance + 1e-9]
        assert len(others) == 26 and others.min() > distance


def test_generate_depends_on_the_seed_alone(default: Corpus) -> None:
    again, other = generate(seed=0), generate(seed=1)
    assert again.sha256 == default.sha256 != other.sha256
    np.testing.assert_array_equal(again.features["audio_synthetic"], default.features["audio_synthetic"])
    np.testing.assert_array_equal(again.labels, default.labels)


def test_default_corpus_never_changes(default: Corpus) -> None:
    assert hashlib.sha256(default.labels.astype("<i4").tobytes()).hexdigest()[:16] == "19b88de120c41d30"
    assert hashlib.sha256(default.split.tobytes()).hexdigest()[:16] == "22b22f98b74bfbe9"
    np.testing.assert_allclose(default.features["text_synthetic"][0, :3], [1.6706319, 1.9547416, 0.2399078], rtol=1e-4)
    np.testing.assert_allclose(
        default.features["audio_synthetic"][-1, -3:], [-1.1335368, -0.0415525, -1.0085011], rtol=1e-4
    )


def test_default_corpus_is_whole(default: Corpus) -> None:
    assert default.name == "synthetic" and default.texts is None and default.modalities == ("audio", "text")
    assert 10_000 < default.num_utterances < 13_000 and default.num_dialogues == 600
    assert np.bincount(default.split).tolist() == [360, 90, 150]
    assert len(set(default.utterance_ids)) == len(default.utterance_ids) == default.num_utterances
    assert default.label_names == EMOTIONS and set(default.labels) == set(range(6))
    assert {default.features[name].dtype for name in default.features} == {np.dtype(np.float32)}
    assert all(measured.all() for measured in default.measured.values())
    assert (default.labels.dtype, default.speakers.dtype) == (np.int32, np.int32)
    assert (default.offsets.dtype, default.split.dtype) == (np.int64, np.int8)


def test_small_corpora_have_every_split() -> None:
    assert all(set(generate(count).split) == {0, 1, 2} for count in (3, 4, 5, 6, 7, 10))


def test_generated_corpus_survives_saving_and_loading(tmp_path: Path) -> None:
    corpus = generate(5)
    save_corpus(corpus, tmp_path / "generated.npz")
    loaded = load_corpus(tmp_path / "generated.npz")
    np.testing.assert_array_equal(loaded.labels, corpus.labels)
    np.testing.assert_allclose(exact_posterior(loaded), exact_posterior(corpus), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_best_scores_are_ordered_and_apart(seed: int) -> None:
    scores = {name: score.weighted_f1 for name, score in best_scores(generate(seed=seed)).items()}
    assert list(scores) == ["both", "no_context", "text", "audio"]
    assert 0.80 < scores["both"] < 0.90
    assert scores["no_context"] < scores["both"] - 0.12
    assert scores["text"] < scores["both"] - 0.03
    assert scores["audio"] < scores["text"] - 0.10


def test_best_scores_agree_with_scikit_learn(default: Corpus) -> None:
    rows = default.utterances_of("validation")
    for name, options in {"audio": {"modalities": ("audio",)}, "no_context": {"context": False}}.items():
        predictions = exact_posterior(default, **options)[rows].argmax(axis=1)
        score = best_scores(default, "validation")[name]
        assert score.accuracy == pytest.approx(accuracy_score(default.labels[rows], predictions))
        assert score.weighted_f1 == pytest.approx(f1_score(default.labels[rows], predictions, average="weighted"))


@pytest.mark.parametrize("pair", [("happy", "excited"), ("angry", "frustrated")])
def test_only_context_tells_a_confusable_pair_apart(large: Corpus, pair: tuple[str, str]) -> None:
    one, other = (EMOTIONS.index(name) for name in pair)

    def balanced_accuracy(context: bool) -> float:
        posterior = exact_posterior(large, context=context)
        says_one = posterior[:, one] > posterior[:, other]
        return (says_one[large.labels == one].mean() + 1 - says_one[large.labels == other].mean()) / 2

    assert 0.5 < balanced_accuracy(context=False) < 0.6
    assert balanced_accuracy(context=True) > 0.8


def test_linear_classifier_comes_close_to_the_best_without_context(default: Corpus) -> None:
    features = np.concatenate([default.features[name] for name in FEATURE_SETS.values()], axis=1)
    train, test = default.utterances_of("train"), default.utterances_of("test")
    classifier = LogisticRegression(C=0.02, max_iter=1000).fit(features[train], default.labels[train])
    accuracy = classifier.score(features[test], default.labels[test])
    best = best_scores(default)["no_context"].accuracy
    assert 0.9 * best < accuracy < best


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": (0.5, 0.5)}, r"SyntheticSettings\.base is \(0\.5, 0\.5\)"),
        ({"base": (0.3, 0.3, 0.3, 0.1, 0.1, 0.1)}, "base is"),
        ({"base": (0.0, 0.2, 0.2, 0.2, 0.2, 0.2)}, "base is"),
        ({"inertia": 0.7, "contagion": 0.3}, "inertia is 0.7"),
        ({"inertia": -0.1}, "inertia is -0.1"),
        ({"contagion": -0.1}, "contagion is -0.1"),
        ({"change_speaker": 1.5}, "change_speaker is 1.5"),
        ({"min_length": 0}, "min_length is 0"),
        ({"min_length": 41}, "min_length is 41"),
        ({"sizes": (24, 5)}, "sizes is"),
        ({"noise_scales": (0.0, 1.0, 1.5)}, "noise_scales is"),
        ({"scale_prior": (0.5, 0.5)}, "scale_prior is"),
    ],
)
def test_settings_that_describe_no_model_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SyntheticSettings(**changes)


def test_wrong_requests_are_refused(default: Corpus) -> None:
    with pytest.raises(InputError, match="num_dialogues is 2"):
        generate(2)
    with pytest.raises(InputError, match="'video'"):
        exact_posterior(default, modalities=("video",))
    with pytest.raises(InputError, match="no feature set text_synthetic of 30 features"):
        exact_posterior(default, SyntheticSettings(sizes=(30, 12)))
