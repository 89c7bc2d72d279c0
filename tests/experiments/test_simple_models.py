"""Simple models, by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from experiments.paper.simple_models import name_scenarios, score_predicted, train_models
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.runs.references import average_context


def test_averaged_context(tiny_iemocap: Corpus) -> None:
    """The context is the mean over ten neighbours on each side, by speaker."""
    corpus = tiny_iemocap
    values = np.random.default_rng(0).normal(size=(corpus.num_utterances, 3))
    same, others = average_context(corpus, values, 10, 10)
    for start, end in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True):
        for row in range(start, end):
            near = [n for n in range(start, end) if n != row and abs(n - row) <= 10]
            for result, alike in ((same, True), (others, False)):
                chosen = [values[n] for n in near if (corpus.speakers[n] == corpus.speakers[row]) is np.bool_(alike)]
                np.testing.assert_allclose(result[row], np.mean(chosen, axis=0) if chosen else 0.0, atol=1e-12)


def test_scenarios(tiny_iemocap: Corpus) -> None:
    """The scenario model predicts the most common emotion of the same scenario and role in the training sessions."""
    corpus = tiny_iemocap
    scenarios = name_scenarios(corpus)
    assert scenarios[0].startswith("impro01 ") and len(set(scenarios)) == 8
    outcomes = dict(train_models(corpus, ("text_small",), quick=True))
    train, test = (corpus.utterances_of(split) for split in ("train", "test"))
    for utterance, predicted in zip(test, outcomes["scenario"].predicted, strict=True):
        alike = corpus.labels[train[scenarios[train] == scenarios[utterance]]]
        assert predicted == np.bincount(alike if len(alike) else corpus.labels[train]).argmax()


def test_scores_are_those_of_scikit_learn() -> None:
    """The simple models are scored as the network is, which is as scikit-learn scores; a class may be absent."""
    random = np.random.default_rng(0)
    labels, predicted = random.integers(0, 4, (2, 200))
    scores = score_predicted(labels, predicted, num_classes=5)
    assert scores["waa"] == pytest.approx(accuracy_score(labels, predicted))
    for name, average in (("waf1", "weighted"), ("macro_f1", "macro")):
        assert scores[name] == pytest.approx(f1_score(labels, predicted, average=average))
