"""What all seeds together reach, and what a model of words adds to them: apart from what the network reaches alone."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from experiments.baselines import choose_highest, list_strengths, score_by_words, standardize_features
from experiments.cross_validate import derive_folds
from experiments.paper.artifact import measure, publish
from experiments.paper.calibration_study import predict_seeds
from experiments.paper.cross_validation import choose_strength, find_sessions, split_training
from experiments.paper.study import Study, StudyOptions
from experiments.paper.variants import FULL
from experiments.tables import show
from macsgr_jax.calibration import fit_temperature
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.errors import InputError
from macsgr_jax.significance import score_seeds

CORPORA = ("iemocap", "meld", "mosi")
WEIGHTS = tuple(tenth / 10 for tenth in range(11))
REMARKS = (
    "network: one seed; ensemble: the mean of the probabilities of all seeds; words: the SVM of words in context, with",
    "the audio features, of experiments.baselines, its strength and temperature chosen by cross-validation on the",
    "training split. + words: the probabilities (1 - w) p + w p(words), where w of 0, 0.1, ..., 1 is the best for one",
    "seed where parts of the training dialogues are left out in turn, as experiments.cross_validate does; w is chosen by those",
    "scores. The test split chooses nothing. refit: the same, of networks and words that were trained on the",
    "validation split too, as in protocol --part refit.",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ensemble(StudyOptions):
    """Average the seeds, mix them with a model of words, and score both where training dialogues are left out.

    Attributes:
        fold_seeds: Seeds a network for the parts of the training split that are left out.
    """

    fold_seeds: int = 1


class Said(NamedTuple):
    """What the networks and the model of words say of some utterances.

    Attributes:
        networks: f64[S, U, C], probabilities of every seed.
        words: f64[U, C], probabilities.
        labels: i64[U].
    """

    networks: np.ndarray
    words: np.ndarray
    labels: np.ndarray


def main(command: Ensemble) -> None:
    """Folds -> weight -> test scores -> ensemble.json -> ensemble.md."""
    if command.fold_seeds < 1:
        raise InputError("--fold-seeds must be at least 1")
    study, folds = Study(command), Study(dataclasses.replace(command, seeds=command.fold_seeds))

    def combine(study: Study, corpus: str) -> dict[str, Any]:
        return combine_models(study, folds, corpus)

    title = "Seeds together, and with a model of words"
    numbers = measure(study, study.choose(CORPORA), "ensemble", title, combine)
    chosen = ", ".join(f"{name} w = {part['weight']:.1f}" for name, part in numbers["parts"].items())
    seeds = f"{folds.seeds} seed{'s' * (folds.seeds > 1)}"
    publish(study.results, "ensemble", numbers, (*REMARKS, f"Chosen with {seeds} for each part left out: {chosen}."))


def combine_models(study: Study, folds: Study, corpus_name: str) -> dict[str, Any]:
    """A row a way to combine, scored where training dialogues are left out and on the test split.

    Args:
        study: trains the networks for the test split.
        folds: trains those for the parts that are left out.
        corpus_name: such as iemocap.

    Returns:
        `head` and `rows` as text; `weight` of the words; `models`: name -> `left_out`, a list a part with a value a
        seed, `waf1` and `waa` of the test split, and `refit`, with the same two.

    Raises:
        InputError: the corpus has no texts.
    """
    if study.corpus(corpus_name).texts is None:
        raise InputError(f"{study.path(corpus_name)}: the array text is missing, which the model of words reads")
    left_out = [judge(folds, name, "validation") for name in derive_folds(folds, corpus_name).values()]
    classes = study.corpus(corpus_name).num_classes
    weight = choose_weight(left_out, classes)
    of_folds = [score(said, weight, classes) for said in left_out]
    of_test = score(judge(study, corpus_name, "test"), weight, classes)
    of_refit = score(judge(study, study.derive_refit(corpus_name), "test"), weight, classes)
    numbers: dict[str, dict[str, Any]] = {
        name: {"left_out": [one[name]["waf1"] for one in of_folds], **scores, "refit": of_refit[name]}
        for name, scores in of_test.items()
    }
    rows = [
        [
            f"{name}, w = {weight:.1f}" if "+" in name else name,
            show(np.mean(scores["left_out"], axis=0).tolist()),
            show(scores["waf1"]),
            show(scores["waa"]),
            show(scores["refit"]["waf1"]),
            show(scores["refit"]["waa"]),
        ]
        for name, scores in numbers.items()
    ]
    parts = "quarters" if find_sessions(study.corpus(corpus_name)) is None else "sessions"
    head = ["", f"WAF1, {parts} left out", "WAF1, test", "WAA, test", "WAF1, test, refit", "WAA, test, refit"]
    return {"head": head, "rows": rows, "weight": weight, "fold_seeds": folds.seeds, "models": numbers}


def judge(study: Study, corpus_name: str, split: str) -> Said:
    """What the full network and the model of words say of a split, both trained on the training split.

    Args:
        study: trains.
        corpus_name: such as iemocap.
        split: validation, where the corpus has one, or test.

    Returns:
        Said.
    """
    trained = study.train(corpus_name, FULL)
    corpus = trained.corpus
    networks = predict_seeds(trained, split).astype(np.float64)
    features, simplest = study.data(corpus_name).features, study.simplest(corpus_name)
    words = predict_by_words(corpus, features, split, study.quick, simplest)
    return Said(networks, words, corpus.labels[corpus.utterances_of(split)].astype(np.int64))


def predict_by_words(
    corpus: Corpus, features: tuple[str, ...], split: str, quick: bool = False, simplest: bool = False
) -> np.ndarray:
    """The probabilities of the SVM of words, whose strength and temperature the training split chooses.

    Args:
        corpus: with texts.
        features: feature sets, as for the network; empty for all. Those of the audio are used.
        split: which utterances.
        quick: try one strength alone.
        simplest: take the least strength within one standard error of the best.

    Returns:
        f64[U, C].
    """
    by_words = score_by_words(corpus, standardize_features(corpus, features))
    strength, _ = choose_strength(corpus, choose_highest(by_words), list_strengths(quick), simplest)
    folds = list(split_training(corpus))
    outside = np.concatenate([by_words(train, rows, strength) for train, rows in folds])
    temperature = fit_temperature(outside, corpus.labels[np.concatenate([rows for _, rows in folds])])
    scores = by_words(corpus.utterances_of("train"), corpus.utterances_of(split), strength)
    probabilities: np.ndarray = softmax(scores / temperature, axis=1)
    return probabilities


def mix(networks: np.ndarray, words: np.ndarray, weight: float) -> np.ndarray:
    """Probabilities f64[..., U, C] of networks, those of words among them by a weight from 0 to 1."""
    return (1 - weight) * networks + weight * words


def choose_weight(left_out: Sequence[Said], classes: int) -> float:
    """The weight of WEIGHTS, the least of several, with the best WAF1 of one network and the words.

    Args:
        left_out: what is said of each part of the training split that was left out.
        classes: C.

    Returns:
        The weight; the WAF1 is the mean over the seeds, and over the parts.
    """

    def reach(weight: float) -> float:
        mixed = (mix(said.networks, said.words, weight) for said in left_out)
        pairs = zip(mixed, left_out, strict=True)
        return float(np.mean([score_seeds(one.argmax(axis=-1), said.labels, classes).mean() for one, said in pairs]))

    return max(WEIGHTS, key=reach)


def score(said: Said, weight: float, classes: int) -> dict[str, dict[str, list[float]]]:
    """What each way to combine reaches.

    Args:
        said: of the networks and of the words.
        weight: of the words.
        classes: C.

    Returns:
        Name -> `waf1` and `waa`, a value a seed where it is of one seed, otherwise one.
    """
    together, words = said.networks.mean(axis=0, keepdims=True), said.words[None]
    combined = {
        "network": said.networks,
        "ensemble": together,
        "words": words,
        "network + words": mix(said.networks, words, weight),
        "ensemble + words": mix(together, words, weight),
    }
    predicted = {name: probabilities.argmax(axis=-1) for name, probabilities in combined.items()}
    return {
        name: {
            "waf1": score_seeds(classes_of, said.labels, classes).tolist(),
            "waa": (classes_of == said.labels).mean(axis=1).tolist(),
        }
        for name, classes_of in predicted.items()
    }


if __name__ == "__main__":
    sys.exit(run_script("experiments.ensemble", Ensemble, main))
