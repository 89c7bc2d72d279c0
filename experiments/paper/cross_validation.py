"""Choosing without the test split: what of the training split is left out together, and what does well enough there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from sklearn.metrics import f1_score

from experiments.paper.variants import SESSIONS
from macsgr_jax.data.corpus import Corpus

FOLDS = 4
Name = TypeVar("Name")

# Rows to train on, rows to judge, strength -> the class of each row judged.
Predict = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def find_sessions(corpus: Corpus) -> np.ndarray | None:
    """The session of each dialogue where all names begin with one of SESSIONS, as IEMOCAP's do; otherwise None."""
    sessions = [next((s for s in SESSIONS if name.startswith(s)), None) for name in corpus.dialogue_names]
    return None if None in sessions else np.array(sessions)


def assign_folds(corpus: Corpus) -> np.ndarray:
    """What is left out together in cross-validation: i64[dialogues], the session, otherwise a quarter at random."""
    sessions = find_sessions(corpus)
    if sessions is not None:
        return np.unique(sessions, return_inverse=True)[1]
    folds = np.zeros(corpus.num_dialogues, np.int64)
    training = corpus.dialogues_of("train")
    folds[training] = np.random.default_rng(0).permutation(len(training)) % FOLDS
    return folds


def split_training(corpus: Corpus) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each fold of the training split, the rows of all others and its own."""
    train = corpus.utterances_of("train")
    fold = assign_folds(corpus)[corpus.dialogue_of_utterance[train]]
    for left_out in np.unique(fold):
        yield train[fold != left_out], train[fold == left_out]


def choose_strength(
    corpus: Corpus, predict: Predict, strengths: tuple[float, ...], simplest: bool = False
) -> tuple[float, list[float]]:
    """The strength of a linear model, chosen by the folds of the training split.

    Args:
        corpus: the data.
        predict: the model.
        strengths: C of it, from the least, which makes the simplest model.
        simplest: take the least of those of `find_best`, otherwise the best.

    Returns:
        The strength, and its WAF1 of each fold.
    """

    def cross_validate(strength: float) -> list[float]:
        return [
            float(f1_score(corpus.labels[outside], predict(inside, outside, strength), average="weighted"))
            for inside, outside in split_training(corpus)
        ]

    tried = {strength: cross_validate(strength) for strength in strengths}
    best = find_best(tried)[0] if simplest else max(tried, key=lambda strength: float(np.mean(tried[strength])))
    return best, tried[best]


def find_best(scores: Mapping[Name, Sequence[float] | np.ndarray]) -> list[Name]:
    """The best attempt, and every other that is not worse by more than one standard error of the best one's mean.

    Args:
        scores: name -> a value a fold, what is better is higher.

    Returns:
        Names, in the order of `scores`; of one fold, which has no standard error, those that are the best.
    """
    means = {name: float(np.mean(of_folds)) for name, of_folds in scores.items()}
    leader = scores[max(means, key=means.__getitem__)]
    error = float(np.std(leader, ddof=1) / np.sqrt(len(leader))) if len(leader) > 1 else 0.0
    return [name for name, mean in means.items() if mean >= np.mean(leader) - error]
