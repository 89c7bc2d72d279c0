"""Model selection without the test split: folds of the training split, and what is within one standard error."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from experiments.paper.study import NetworkCache
from experiments.paper.variants import SESSIONS
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.errors import InputError
from macsgr_jax.significance import score_seeds

FOLDS = 4
Name = TypeVar("Name")

# Rows to train on, i64[T]; rows to predict, i64[R]; inverse regularization -> predicted classes, i64[R].
Predict = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def find_sessions(corpus: Corpus) -> np.ndarray | None:
    """Returns the session of each dialogue if all names begin with one of SESSIONS, as IEMOCAP's do; otherwise None."""
    sessions = [next((s for s in SESSIONS if name.startswith(s)), None) for name in corpus.dialogue_names]
    return None if None in sessions else np.array(sessions)


def assign_folds(corpus: Corpus) -> np.ndarray:
    """Assigns dialogues to folds of cross-validation.

    Args:
        corpus: the corpus.

    Returns:
        i64[dialogues]: the session, or one of FOLDS parts of the training split at random (0 in the other splits).
    """
    sessions = find_sessions(corpus)
    if sessions is not None:
        return np.unique(sessions, return_inverse=True)[1]
    folds = np.zeros(corpus.num_dialogues, np.int64)
    training = corpus.dialogues_of("train")
    folds[training] = np.random.default_rng(0).permutation(len(training)) % FOLDS
    return folds


def split_training(corpus: Corpus) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the rows of all other folds and the rows of the fold itself, for each fold of the training split."""
    train = corpus.labelled_of("train")
    fold = assign_folds(corpus)[corpus.dialogue_of_utterance[train]]
    for left_out in np.unique(fold):
        yield train[fold != left_out], train[fold == left_out]


def choose_inverse_regularization(
    corpus: Corpus, predict: Predict, candidates: tuple[float, ...], simplest: bool = False
) -> tuple[float, list[float]]:
    """Chooses the inverse regularization (scikit-learn's C) of a model by cross-validation on the training split.

    Args:
        corpus: the corpus.
        predict: trains and applies the model.
        candidates: values of C in ascending order; the smallest makes the simplest model.
        simplest: choose the smallest candidate within one standard error of the best, otherwise the best.

    Returns:
        The chosen value, and its WAF1 in each fold.
    """

    def cross_validate(candidate: float) -> list[float]:
        return [
            float(score_seeds(predict(inside, outside, candidate)[None], corpus.labels[outside], corpus.num_classes)[0])
            for inside, outside in split_training(corpus)
        ]

    scores = {candidate: cross_validate(candidate) for candidate in candidates}
    best = max(scores, key=lambda candidate: float(np.mean(scores[candidate])))
    chosen = find_best(scores)[0] if simplest else best
    return chosen, scores[chosen]


def find_best(scores: Mapping[Name, Sequence[float] | np.ndarray]) -> list[Name]:
    """Finds the best candidate, and every other one within one standard error of its mean.

    Args:
        scores: name of the candidate -> one value per fold; higher is better.

    Returns:
        Names, in the order of `scores`; of one fold, which has no standard error, the best alone.
    """
    means = {name: float(np.mean(of_folds)) for name, of_folds in scores.items()}
    leader = scores[max(means, key=means.__getitem__)]
    error = float(np.std(leader, ddof=1) / np.sqrt(len(leader))) if len(leader) > 1 else 0.0
    return [name for name, mean in means.items() if mean >= np.mean(leader) - error]


def derive_folds(cache: NetworkCache, corpus: str) -> dict[int, str]:
    """Makes the corpora in which one fold of the training dialogues is left out.

    The fold takes the place of the validation split, so that every epoch has its score. The official validation
    dialogues take the place of the test split, which is not looked at; a corpus needs one.

    Args:
        cache: stores the corpora.
        corpus: the name of a corpus, such as iemocap; none of its test dialogues is in the derived corpora.

    Returns:
        Number of the fold -> name of the corpus.

    Raises:
        InputError: the corpus is missing or damaged, or has no validation split and too few training dialogues.
    """
    whole = cache.corpus(corpus)
    train, validation, test = (SPLITS.index(split) for split in SPLITS)
    folds = assign_folds(whole)
    names = {int(fold): f"{corpus}_fold_{fold}" for fold in np.unique(folds[whole.split == train])}
    for fold, name in names.items():
        split = np.where(whole.split == test, -1, np.where(whole.split == validation, test, train))
        split[(folds == fold) & (whole.split == train)] = validation
        if not np.any(split == test):
            split[np.flatnonzero(split == validation)[0]] = test
        if not np.any(split == validation):
            raise InputError(
                f"{cache.path(corpus)}: fold {fold} of the training dialogues has a single dialogue, which has to be"
                " the test split: mark a validation split in the file, or add dialogues"
            )
        cache.derive(name, corpus, split.astype(np.int8))
    return names
