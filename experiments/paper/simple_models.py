"""Simple models on the same features and splits as the network: majority, scenario, linear models, a TF-IDF SVM."""

import dataclasses
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from experiments.paper.cross_validation import Predict, choose_inverse_regularization, find_sessions
from experiments.paper.study import NetworkCache
from macsgr_jax.data.corpus import Corpus, choose_features
from macsgr_jax.data.standardize import fit_standardizer, standardize
from macsgr_jax.metrics import count, scores
from macsgr_jax.runs.references import NEIGHBOURS, average_context

INVERSE_REGULARIZATIONS = (0.0003, 0.003, 0.03, 0.3)
CLIP = 5.0
MODELS = ("majority", "scenario", "linear", "linear, averaged context", "SVM, words in context")

# Rows to train on, i64[T]; rows to predict, i64[R]; inverse regularization -> score of each class, f64[R, C].
Score = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The predictions of one simple model.

    Attributes:
        inverse_regularization: C of the linear model, chosen by cross-validation on the training split; None for a
            model without one.
        folds: WAF1 in each fold of that cross-validation: the sessions of IEMOCAP, otherwise quarters of the dialogues.
        predicted: i64[U], predicted classes of the test split.
    """

    inverse_regularization: float | None
    folds: list[float]
    predicted: np.ndarray


def train_simple_models(cache: NetworkCache, corpus: str) -> Iterator[tuple[str, Outcome]]:
    """Trains the simple models on a corpus of the study, with the features and by the selection rule of its networks.

    Args:
        cache: holds the corpus and the options.
        corpus: the name of the corpus, such as iemocap.

    Yields:
        Name and outcome of each model.
    """
    features = cache.config(corpus).data.features
    return train_models(cache.corpus(corpus), features, quick=cache.quick, simplest=cache.simplest(corpus))


def train_models(
    corpus: Corpus, features: tuple[str, ...], *, quick: bool = False, simplest: bool = False
) -> Iterator[tuple[str, Outcome]]:
    """Trains every simple model that the corpus allows.

    Args:
        corpus: the corpus.
        features: names of the feature sets; empty for all.
        quick: try a single inverse regularization.
        simplest: choose the smallest inverse regularization within one standard error of the best.

    Yields:
        Name and outcome of each model.
    """
    candidates = list_candidates(quick)
    values = standardize_features(corpus, features)
    own = np.concatenate([values[name] for name in sorted(values)], axis=1)
    for name in MODELS:
        if name == "majority":
            yield name, _fit(corpus, _most_common(corpus, np.zeros(corpus.num_utterances, int)), (0.0,), simplest)
        elif name == "scenario" and find_sessions(corpus) is not None:
            yield name, _fit(corpus, _most_common(corpus, name_scenarios(corpus)), (0.0,), simplest)
        elif name == "linear":
            yield name, _fit(corpus, _logistic(corpus, own), candidates, simplest)
        elif name == "linear, averaged context":
            context = np.concatenate([own, *average_context(corpus, own, NEIGHBOURS, NEIGHBOURS)], axis=1)
            yield name, _fit(corpus, _logistic(corpus, context), candidates, simplest)
        elif name == "SVM, words in context" and corpus.texts is not None:
            yield name, _fit(corpus, choose_highest(score_by_tfidf(corpus, values)), candidates, simplest)


def score_predicted(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> dict[str, float]:
    """Computes WAA, WAF1 and macro-F1 of predicted classes, i64[U], against annotated ones, i64[U]."""
    logits = np.eye(num_classes, dtype=np.float32)[predicted]
    found = scores(count(logits, labels, np.ones(labels.shape, bool)))
    return {name: float(found[name]) for name in ("waa", "waf1", "macro_f1")}


def list_candidates(quick: bool) -> tuple[float, ...]:
    """Returns the inverse regularizations to choose from; a single one in the quick form."""
    return INVERSE_REGULARIZATIONS[1:2] if quick else INVERSE_REGULARIZATIONS


def standardize_features(corpus: Corpus, features: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Returns modality -> f32[U, D], scaled by the training split.

    Args:
        corpus: the corpus.
        features: names of the feature sets; empty for all.
    """
    return standardize(fit_standardizer(corpus, choose_features(corpus, features), CLIP), corpus)[0]


def name_scenarios(corpus: Corpus) -> np.ndarray:
    """Names the scenario and the speaker's role of each utterance: Ses01F_impro04 is played in every session."""
    scenario = np.array([name.split("_", 1)[-1] for name in corpus.dialogue_names])
    roles = np.array([corpus.speaker_names[speaker] for speaker in corpus.speakers])
    return np.char.add(scenario[corpus.dialogue_of_utterance], np.char.add(" ", roles))


def choose_highest(score: Score) -> Predict:
    """Returns a model that predicts the class of the highest score."""
    return lambda train, rows, inverse_regularization: score(train, rows, inverse_regularization).argmax(axis=1)


def score_by_tfidf(corpus: Corpus, values: dict[str, np.ndarray]) -> Score:
    """Returns a linear SVM over TF-IDF vectors and the audio features.

    There is one vector of the utterance, one of its speaker's neighbouring utterances and one of the others'.

    Args:
        corpus: a corpus with texts.
        values: the result of `standardize_features`.

    Returns:
        Score: the decision function of each class, -1 for a class without training rows.
    """
    own, same, others = gather_words(corpus)
    prosody = values.get("audio", np.zeros((corpus.num_utterances, 0), np.float32))

    def score(train: np.ndarray, rows: np.ndarray, inverse_regularization: float) -> np.ndarray:
        of_train, of_rows = [], []
        for texts in filter(any, (own, same, others)):  # A monologue has no others.
            vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
            of_train.append(vectorizer.fit_transform([texts[row] for row in train]))
            of_rows.append(vectorizer.transform([texts[row] for row in rows]))
        # The audio features together weigh as much as one of the unit vectors of words.
        scale = 1 / np.sqrt(max(1, prosody.shape[1]))
        of_train.append(sparse.csr_matrix(scale * prosody[train]))
        of_rows.append(sparse.csr_matrix(scale * prosody[rows]))
        model = LinearSVC(C=inverse_regularization, random_state=0, max_iter=3000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(sparse.hstack(of_train).tocsr(), corpus.labels[train])
        decision = model.decision_function(sparse.hstack(of_rows).tocsr())
        result = np.full((len(rows), corpus.num_classes), -1.0)  # The margin of a class that no row is of.
        # Of two classes scikit-learn returns the score of the second alone.
        result[:, model.classes_] = decision if decision.ndim > 1 else np.stack([-decision, decision], axis=1)
        return result

    return score


def gather_words(corpus: Corpus) -> tuple[list[str], list[str], list[str]]:
    """Returns the text of each utterance, of its speaker's neighbouring utterances, and of the other speakers'."""
    assert corpus.texts is not None
    own, same, others = list(corpus.texts), [""] * corpus.num_utterances, [""] * corpus.num_utterances
    for start, end in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True):
        for row in range(start, end):
            near = [n for n in range(max(start, row - NEIGHBOURS), min(end, row + NEIGHBOURS + 1)) if n != row]
            of_speaker = [n for n in near if corpus.speakers[n] == corpus.speakers[row]]
            same[row] = " ".join(own[n] for n in of_speaker)
            others[row] = " ".join(own[n] for n in near if n not in of_speaker)
    return own, same, others


def _fit(corpus: Corpus, predict: Predict, candidates: tuple[float, ...], simplest: bool) -> Outcome:
    """Chooses C on the training split alone, then trains on all of it and reads the test split once."""
    train, test = corpus.labelled_of("train"), corpus.labelled_of("test")
    chosen, folds = choose_inverse_regularization(corpus, predict, candidates, simplest)
    return Outcome(
        inverse_regularization=chosen or None,
        folds=folds,
        predicted=predict(train, test, chosen).astype(np.int64),
    )


def _most_common(corpus: Corpus, group: np.ndarray) -> Predict:
    """Returns a model that predicts the most common emotion of the utterance's group; of all groups for a new one."""

    def predict(train: np.ndarray, rows: np.ndarray, _: float) -> np.ndarray:
        labels = corpus.labels
        overall = np.bincount(labels[train]).argmax()
        by_group = {name: np.bincount(labels[train[group[train] == name]]).argmax() for name in np.unique(group[train])}
        return np.array([by_group.get(name, overall) for name in group[rows]])

    return predict


def _logistic(corpus: Corpus, values: np.ndarray) -> Predict:
    """Returns logistic regression on f32[U, D]."""

    def predict(train: np.ndarray, rows: np.ndarray, inverse_regularization: float) -> np.ndarray:
        scaler = StandardScaler().fit(values[train])
        of_train, of_rows = (np.clip(scaler.transform(values[where]), -CLIP, CLIP) for where in (train, rows))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=inverse_regularization, max_iter=200).fit(of_train, corpus.labels[train])
        predicted: np.ndarray = model.predict(of_rows)
        return predicted

    return predict
