"""Notices a run that has stopped learning while it trains: a collapse to one class, or a loss that jumped and stayed.

Everything follows from the numbers of the epochs so far, so that a resumed run and the results file say the same.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.losses import TERMS
from macsgr_jax.losses.objective import weigh_terms
from macsgr_jax.runs.references import (
    INVERSE_REGULARIZATIONS,
    fit_logistic_regression,
    join_features,
    log_class_shares,
    predict_logits,
)
from macsgr_jax.runs.results import SCALARS

# A state counts from its third epoch in a row on: single epochs fall in healthy runs too.
PATIENCE = 3
# Accuracy and WAF1 within one point of those of predicting one class alone.
TOLERANCE = 0.01
# A network that knows something of the features has a negative log-likelihood below that of the class shares by this
# fraction, and by more than chance gives on a small validation split: this many nats over the root of its utterances.
GAIN, CHANCE = 0.02, 0.5
# Healthy runs of IEMOCAP, MELD and MOSI leave the majority class in their first epoch, of 7 steps or more. A small
# corpus and a warm-up take longer: a run that has not left it this many epochs and steps after its warm-up is named,
# and one that has not at its end.
SLOW_EPOCHS, SLOW_STEPS = 10, 100
# A loss has jumped where it is this fraction of what it had fallen by, and of where it began, above its lowest value.
JUMP_OF_FALL, JUMP_OF_START = 0.5, 0.1
WATCHED = ("classification", "total")


class Collapse(NamedTuple):
    """The state of a run that has stopped learning.

    Attributes:
        epoch: the first epoch of this state, from 1.
        reason: a clause that says what happened.
    """

    epoch: int
    reason: str


class Floor:
    """What can be scored on the validation split of a corpus without looking at the features.

    Args:
        prepared: the prepared corpus.

    Attributes:
        nll: the mean negative log-likelihood of the validation labels under the training split's class shares.
        informed_nll: a network below this knows something of the features.
        one_class: f64[C, 2], accuracy and WAF1 of predicting each class alone.
        steps_per_epoch: the number of training steps of an epoch.
    """

    def __init__(self, prepared: PreparedCorpus) -> None:
        self._prepared = prepared
        corpus = prepared.corpus
        labels = corpus.labels[corpus.labelled_of("validation")]
        share = np.bincount(labels, minlength=corpus.num_classes) / max(len(labels), 1)
        self.nll = float(-np.sum(share * log_class_shares(corpus)))
        self.informed_nll = self.nll - max(GAIN * self.nll, CHANCE / max(len(labels), 1) ** 0.5)
        self.one_class = np.stack([share, 2 * share**2 / (1 + share)], axis=1)
        self.steps_per_epoch = prepared.steps_per_epoch

    @functools.cached_property
    def is_learnable(self) -> bool:
        """Whether logistic regression does better than the class shares; it is fitted when this is first asked."""
        corpus, features = self._prepared.corpus, join_features(self._prepared)
        train, held_out = corpus.labelled_of("train"), corpus.labelled_of("validation")
        weights = None
        for strength in INVERSE_REGULARIZATIONS:
            weights = fit_logistic_regression(
                features[train], corpus.labels[train], corpus.num_classes, strength, start=weights
            )
            log_probabilities = predict_logits(weights, features[held_out])
            nll = -np.mean(log_probabilities[np.arange(len(held_out)), corpus.labels[held_out]])
            if nll < self.informed_nll:
                return True
        return False


def find_collapse(terms: np.ndarray, validation: np.ndarray, config: Config, floor: Floor) -> Collapse | None:
    """Finds out whether a run has stopped learning, at the last of the given epochs.

    Args:
        terms: f32[epochs, terms], the mean of each loss term of `losses.TERMS` in each epoch so far.
        validation: f32[epochs, scores], the validation scores of `results.SCALARS` after each.
        config: the configuration of the run.
        floor: what is known without the features.

    Returns:
        The state; None for a run that learns, and for one that has recovered.
    """
    epochs = len(terms)
    if epochs <= PATIENCE or not np.isfinite(terms).all():
        return None
    waa, waf1, nll = (validation[:, SCALARS.index(score)] for score in ("waa", "waf1", "nll"))
    distances = np.abs(np.stack([waa, waf1], axis=1)[:, None] - floor.one_class).max(axis=2)
    one_class = distances.min(axis=1) <= TOLERANCE
    informed = nll < floor.informed_nll
    lost = one_class & ~informed
    learning = np.flatnonzero(informed & ~one_class)
    first = learning[-1] + 1 if len(learning) else 0  # From 0.
    if first and _has_row(lost[first:]):
        best, now = 100 * waf1[:first].max(), 100 * waf1[np.flatnonzero(lost)[-1]]
        fall = f"validation WAF1 fell from {best:.1f} to {now:.1f}, that of predicting one class alone"
        return Collapse(int(first) + 1, fall + _describe_rise(terms, first, config))
    slow = config.train.warmup_epochs + max(SLOW_EPOCHS, SLOW_STEPS / floor.steps_per_epoch)
    patience = PATIENCE if epochs >= config.train.epochs else slow
    if not first and _count_last(lost) >= patience and floor.is_learnable:
        stuck = f"validation WAF1 is still {100 * waf1[-1]:.1f}, that of predicting one class alone"
        return Collapse(epochs - _count_last(lost) + 1, f"{stuck}, and logistic regression does better")
    for name in WATCHED:
        column = terms[:, TERMS.index(name)]
        high = _count_last(_is_high(column))
        if high >= PATIENCE:
            first = epochs - high
            rise = f"the {name} loss jumped from {column[:first].min():.4g} to {column[-1]:.4g} and stayed there"
            return Collapse(first + 1, rise + ("" if name != "total" else _describe_rise(terms, first, config)))
    return None


def describe_advice(config: Config) -> str:
    """Returns what to try against a collapse: what the configuration does not do already."""
    train = config.train
    advice = [
        *(["--set train.clip_norm=0.2"] if not 0 < train.clip_norm <= 0.2 else []),
        *(["--set train.warmup_epochs=3"] if train.warmup_epochs < 3 else []),
        f"a train.learning_rate below {float(train.learning_rate):g}",
    ]
    return "try " + " or ".join(advice)


def describe_collapse(collapse: Collapse | None) -> dict[str, Any] | None:
    """Returns a collapse as a seed's part of the results file has it."""
    return None if collapse is None else dict(collapse._asdict())


def _is_high(values: np.ndarray) -> np.ndarray:
    """Returns bool[epochs]: whether a loss is far above its lowest value of earlier epochs."""
    lowest = np.minimum.accumulate(values)
    start = np.median(values[:PATIENCE])  # The first epoch alone may be far off.
    high = values > lowest + np.maximum(JUMP_OF_FALL * (start - lowest), JUMP_OF_START * abs(start))
    high[:PATIENCE] = False
    return high


def _has_row(flags: np.ndarray) -> bool:
    """Returns whether PATIENCE flags in a row are set."""
    return any(flags[end - PATIENCE : end].all() for end in range(PATIENCE, len(flags) + 1))


def _count_last(flags: np.ndarray) -> int:
    """Returns how many flags at the end are set without a gap."""
    return int(np.argmin(flags[::-1])) if not flags.all() else len(flags)


def _describe_rise(terms: np.ndarray, first: int, config: Config) -> str:
    """Names the loss term whose part of the objective rose most when a collapse began; empty where none did.

    Args:
        terms: see `find_collapse`.
        first: the first epoch of the collapse, from 0.
        config: the configuration, for the weights of the terms.
    """
    before, after = terms[max(first - PATIENCE, 0) : first].mean(axis=0), terms[first:].mean(axis=0)
    weights = weigh_terms(config.loss)
    rises = {name: float(weight) * float((after - before)[TERMS.index(name)]) for name, weight in weights.items()}
    name = max(rises, key=rises.__getitem__)
    if rises[name] <= 0:
        return ""
    column = TERMS.index(name)
    return f"; the {name} loss rose from {before[column]:.4g} to {after[column]:.4g}"
