"""What simple models reach on the same features and splits: the least that a network of conversations has to beat."""

import dataclasses
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from experiments.paper.artifact import measure, publish
from experiments.paper.cross_validation import Predict, choose_strength, find_sessions
from experiments.paper.study import Study, StudyOptions
from experiments.paper.variants import FULL, PLAIN
from experiments.tables import show
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.corpus import Corpus, choose_features
from macsgr_jax.data.standardize import fit_standardizer, standardize
from macsgr_jax.significance import compare_over_dialogues, count_by_dialogue

CORPORA = ("iemocap", "meld", "mosi")
NEIGHBOURS = 10  # Each side, as far as the network's window goes.
STRENGTHS = (0.0003, 0.003, 0.03, 0.3)
REMARKS = (
    "The strength of the linear models is chosen by cross-validation on the training split: the sessions of IEMOCAP,",
    "otherwise quarters of the dialogues; on MOSI, as for the network, the simplest within one standard error of the",
    "best.",
)
MODELS = ("majority", "scenario", "linear", "linear, averaged context", "SVM, words in context")

# Rows to train on, rows to judge, strength -> the score of each class, f64[rows, C].
Score = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baselines(StudyOptions):
    """Train and test simple models, beside the network and a recurrent network without the paper's parts."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one simple model reached.

    Attributes:
        strength: C of the linear model, chosen by cross-validation on the training split; None where there is none.
        folds: WAF1 of each fold of that cross-validation: the sessions of IEMOCAP, otherwise quarters of the dialogues.
        predicted: i64[U], of the test split.
    """

    strength: float | None
    folds: list[float]
    predicted: np.ndarray


def main(command: Baselines) -> None:
    """Models and networks -> scores -> baselines.json -> baselines.md."""
    study = Study(command)
    numbers = measure(study, study.choose(CORPORA), "baselines", "Simple models beside the network", compare_models)
    publish(study.results, "baselines", numbers, REMARKS)


def compare_models(study: Study, corpus_name: str) -> dict[str, Any]:
    """A row a model, each tested against the network over dialogues."""
    full, plain = study.train(corpus_name, FULL), study.train(corpus_name, "plain", PLAIN)
    corpus, labels = full.corpus, full.labels
    classes = corpus.num_classes
    counts = count_by_dialogue(full.predicted, labels, full.dialogue, classes)
    rows, numbers = [], {}
    for name, outcome in study_models(study, corpus_name):
        said = outcome.predicted[None]
        test = compare_over_dialogues(counts, count_by_dialogue(said, labels, full.dialogue, classes))
        scores = score_predicted(labels, outcome.predicted)
        numbers[name] = {**scores, "C": outcome.strength, "folds": outcome.folds, "full_minus_this": test._asdict()}
        rows.append(
            [
                name,
                *(show([score]) for score in scores.values()),
                f"{100 * np.mean(outcome.folds):.1f}" if outcome.folds else "",
                f"{100 * test.difference:+.1f} ({100 * test.low:+.1f} to {100 * test.high:+.1f})",
            ]
        )
    for name, network in (("recurrence and classifier", plain), ("full network", full)):
        scores_of_seeds = {score: network.scores(score) for score in ("waa", "waf1", "macro_f1")}
        test = compare_over_dialogues(counts, count_by_dialogue(network.predicted, labels, full.dialogue, classes))
        numbers[name] = {**scores_of_seeds, "full_minus_this": test._asdict()}
        difference = f"{100 * test.difference:+.1f} ({100 * test.low:+.1f} to {100 * test.high:+.1f})"
        rows.append([name, *map(show, scores_of_seeds.values()), "", "" if network is full else difference])
    head = ["", "WAA", "WAF1", "macro-F1", "cross-validated WAF1", "full - this, WAF1 (95 % over dialogues)"]
    return {"head": head, "rows": rows, "models": numbers}


def study_models(study: Study, corpus: str) -> Iterator[tuple[str, Outcome]]:
    """`train_models` on a corpus of a study, such as iemocap, with the features and by the rule of its networks."""
    return train_models(study.corpus(corpus), study.data(corpus).features, study.quick, study.simplest(corpus))


def train_models(
    corpus: Corpus, features: tuple[str, ...], quick: bool = False, simplest: bool = False
) -> Iterator[tuple[str, Outcome]]:
    """Every simple model that the corpus allows, and what it reached.

    Args:
        corpus: the data.
        features: feature sets, as for the network; empty for all.
        quick: try one strength alone.
        simplest: take the least strength within one standard error of the best, as `choose_strength` does.

    Yields:
        Name and outcome.
    """
    strengths = list_strengths(quick)
    values = standardize_features(corpus, features)
    own = np.concatenate([values[name] for name in sorted(values)], axis=1)
    for name in MODELS:
        if name == "majority":
            yield name, _fit(corpus, _most_common(corpus, np.zeros(corpus.num_utterances, int)), (0.0,), simplest)
        elif name == "scenario" and find_sessions(corpus) is not None:
            yield name, _fit(corpus, _most_common(corpus, name_scenarios(corpus)), (0.0,), simplest)
        elif name == "linear":
            yield name, _fit(corpus, _logistic(corpus, own), strengths, simplest)
        elif name == "linear, averaged context":
            context = np.concatenate([own, *average_context(corpus, own)], axis=1)
            yield name, _fit(corpus, _logistic(corpus, context), strengths, simplest)
        elif name == "SVM, words in context" and corpus.texts is not None:
            yield name, _fit(corpus, choose_highest(score_by_words(corpus, values)), strengths, simplest)


def score_predicted(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """WAA, WAF1 and macro-F1 of what is said, i64[U], where `labels`, i64[U], is right."""
    return {
        "waa": float(accuracy_score(labels, predicted)),
        "waf1": float(f1_score(labels, predicted, average="weighted")),
        "macro_f1": float(f1_score(labels, predicted, average="macro")),
    }


def list_strengths(quick: bool) -> tuple[float, ...]:
    """What to choose the strength of a linear model from; one alone where it is to be quick."""
    return STRENGTHS[1:2] if quick else STRENGTHS


def standardize_features(corpus: Corpus, features: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Modality -> f32[U, D], scaled by the training split; of some feature sets, or of all."""
    return standardize(fit_standardizer(corpus, choose_features(corpus, features), 5.0), corpus)[0]


def name_scenarios(corpus: Corpus) -> np.ndarray:
    """The scenario and the speaker's role of each utterance: Ses01F_impro04 is played in every session."""
    scenario = np.array([name.split("_", 1)[-1] for name in corpus.dialogue_names])
    roles = np.array([corpus.speaker_names[speaker] for speaker in corpus.speakers])
    return np.char.add(scenario[corpus.dialogue_of_utterance], np.char.add(" ", roles))


def average_context(corpus: Corpus, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over an utterance's neighbours, f32[U, D]: of the same speaker and of the others; 0 where there is none."""
    same, others = np.zeros_like(values), np.zeros_like(values)
    for start, end in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True):
        place = np.arange(end - start)
        near = np.abs(place[:, None] - place) <= NEIGHBOURS
        np.fill_diagonal(near, False)
        speakers = corpus.speakers[start:end]
        alike = speakers[:, None] == speakers
        for result, mask in ((same, near & alike), (others, near & ~alike)):
            share = mask / np.maximum(mask.sum(axis=1, keepdims=True), 1)
            result[start:end] = share @ values[start:end]
    return same, others


def _fit(corpus: Corpus, predict: Predict, strengths: tuple[float, ...], simplest: bool) -> Outcome:
    """Choose the strength on the training split alone, then train on all of it and read the test split once."""
    train, test = corpus.utterances_of("train"), corpus.utterances_of("test")
    best, folds = choose_strength(corpus, predict, strengths, simplest)
    return Outcome(best or None, folds, predict(train, test, best).astype(np.int64))


def _most_common(corpus: Corpus, group: np.ndarray) -> Predict:
    """The most common emotion of the group of each utterance; of all of them where the group is new."""

    def predict(train: np.ndarray, rows: np.ndarray, _: float) -> np.ndarray:
        labels = corpus.labels
        overall = np.bincount(labels[train]).argmax()
        said = {name: np.bincount(labels[train[group[train] == name]]).argmax() for name in np.unique(group[train])}
        return np.array([said.get(name, overall) for name in group[rows]])

    return predict


def _logistic(corpus: Corpus, values: np.ndarray) -> Predict:
    def predict(train: np.ndarray, rows: np.ndarray, strength: float) -> np.ndarray:
        scaler = StandardScaler().fit(values[train])
        one, other = (np.clip(scaler.transform(values[where]), -5, 5) for where in (train, rows))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=strength, max_iter=200).fit(one, corpus.labels[train])
        said: np.ndarray = model.predict(other)
        return said

    return predict


def choose_highest(score: Score) -> Predict:
    """The class of the highest score."""
    return lambda train, rows, strength: score(train, rows, strength).argmax(axis=1)


def score_by_words(corpus: Corpus, values: dict[str, np.ndarray]) -> Score:
    """A linear SVM of the words of the utterance, of its speaker near it and of the others, and of the audio features.

    Args:
        corpus: with texts.
        values: of `standardize_features`.

    Returns:
        Score: the decision function of each class, -1 where no training row has it.
    """
    own, same, others = gather_words(corpus)
    prosody = values.get("audio", np.zeros((corpus.num_utterances, 0), np.float32))

    def score(train: np.ndarray, rows: np.ndarray, strength: float) -> np.ndarray:
        one, other = [], []
        for texts in filter(any, (own, same, others)):  # A monologue has no others.
            vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
            one.append(vectorizer.fit_transform([texts[row] for row in train]))
            other.append(vectorizer.transform([texts[row] for row in rows]))
        # As heavy as one of the unit vectors of words.
        scale = 1 / np.sqrt(max(1, prosody.shape[1]))
        one.append(sparse.csr_matrix(scale * prosody[train]))
        other.append(sparse.csr_matrix(scale * prosody[rows]))
        model = LinearSVC(C=strength, random_state=0, max_iter=3000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(sparse.hstack(one).tocsr(), corpus.labels[train])
        decision = model.decision_function(sparse.hstack(other).tocsr())
        scores = np.full((len(rows), corpus.num_classes), -1.0)  # As a class says that has no example.
        # Of two classes scikit-learn gives the score of the second alone.
        scores[:, model.classes_] = decision if decision.ndim > 1 else np.stack([-decision, decision], axis=1)
        return scores

    return score


def gather_words(corpus: Corpus) -> tuple[list[str], list[str], list[str]]:
    """What is said in each utterance, and around it by its speaker and by the others."""
    assert corpus.texts is not None
    own, same, others = list(corpus.texts), [""] * corpus.num_utterances, [""] * corpus.num_utterances
    for start, end in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True):
        for row in range(start, end):
            near = [n for n in range(max(start, row - NEIGHBOURS), min(end, row + NEIGHBOURS + 1)) if n != row]
            mine = [n for n in near if corpus.speakers[n] == corpus.speakers[row]]
            same[row] = " ".join(own[n] for n in mine)
            others[row] = " ".join(own[n] for n in near if n not in mine)
    return own, same, others


if __name__ == "__main__":
    sys.exit(run_script("experiments.baselines", Baselines, main))
