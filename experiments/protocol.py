"""How much the way of measuring matters: sessions left out, choosing by the test split, scenes, calibration, noise."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from experiments.baselines import score_predicted, study_models
from experiments.paper.artifact import measure, publish
from experiments.paper.calibration_study import REMARKS as CALIBRATION_REMARKS
from experiments.paper.calibration_study import measure_calibration
from experiments.paper.cross_validation import find_sessions
from experiments.paper.figure_plots import draw_calibration, draw_noise
from experiments.paper.study import Study, StudyOptions, Trained
from experiments.paper.variants import FULL, PLAIN, SESSIONS
from experiments.tables import show
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.corpus import SPLITS, hold_out_validation
from macsgr_jax.errors import InputError
from macsgr_jax.significance import score_seeds
from macsgr_jax.training.step import predict
from macsgr_jax.types import Utterances

TITLES = {
    "sessions": "Each session of IEMOCAP left out",
    "selection": "Epochs chosen by the validation split and by the test split",
    "scenes": "Scripted and improvised dialogues of IEMOCAP",
    "calibration": "Are confident utterances right more often?",
    "noise": "Do the fusion weights follow the modality that is damaged?",
    "missing": "Utterances without one of their modalities",
    "refit": "Trained on the validation split too, with everything fixed before",
}
CORPORA = {
    "sessions": ("iemocap",),
    "selection": ("iemocap", "meld", "mosi"),
    "scenes": ("iemocap",),
    "calibration": ("iemocap", "meld", "mosi"),
    "noise": ("iemocap", "meld", "mosi"),
    "missing": ("iemocap", "meld", "mosi"),
    "refit": ("iemocap", "meld", "mosi"),
}
NOISE = (0.0, 0.5, 1.0, 2.0, 4.0)  # Standard deviations of a feature.
MISSING_SHARE = 0.3
MODALITY_DROPOUT = "train.modality_dropout=0.3"
REMARKS = {
    "calibration": CALIBRATION_REMARKS,
    "refit": ("The network holds out one dialogue, by which nothing is chosen; the simple models hold out none.",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol(StudyOptions):
    """Measure the measuring: train what is not trained yet, test, write a table and, where there is one, a figure.

    Attributes:
        part: What to look at.
    """

    part: Literal["sessions", "selection", "scenes", "calibration", "noise", "missing", "refit"]


def main(command: Protocol) -> None:
    """Networks -> numbers -> protocol_PART.json -> protocol_PART.md and .png."""
    study = Study(command)
    part: Callable[[Study, str], dict[str, Any]] = {
        "sessions": leave_out_sessions,
        "selection": choose_epochs,
        "scenes": split_scenes,
        "calibration": measure_calibration,
        "noise": damage_modalities,
        "missing": take_modalities_away,
        "refit": train_on_validation,
    }[command.part]
    draw = {"calibration": draw_calibration, "noise": draw_noise}.get(command.part)
    numbers = measure(study, study.choose(CORPORA[command.part]), "protocol", TITLES[command.part], part)
    publish(study.results, f"protocol_{command.part}", numbers, REMARKS.get(command.part, ()), draw)


def leave_out_sessions(study: Study, corpus: str) -> dict[str, Any]:
    """Each session as the test split in turn; the official validation dialogues of the others are left aside.

    The simple models choose their strength as `experiments.baselines` does, by leaving out the sessions that remain.

    Raises:
        InputError: the dialogues are not named after sessions.
    """
    whole = study.corpus(corpus)
    sessions = find_sessions(whole)
    if sessions is None:
        raise InputError(f"{study.path(corpus)}: the names of its dialogues do not begin with {', '.join(SESSIONS)}")
    train, validation, test = (SPLITS.index(split) for split in SPLITS)
    numbers: dict[str, dict[str, list[float]]] = {}
    for session in map(str, np.unique(sessions)):
        split = np.where(whole.split == validation, validation, train).astype(np.int8)
        split[sessions == session] = test
        name = f"{corpus}_{session.lower()}"
        study.derive(name, corpus, split)
        for title, variant, settings in ((FULL, FULL, ()), ("recurrence and classifier", "plain", PLAIN)):
            trained = study.train(name, variant, settings)
            numbers.setdefault(title, {})[session] = trained.scores("waf1")
        for title, outcome in study_models(study, name):
            scores = score_predicted(trained.labels, outcome.predicted)
            numbers.setdefault(title, {})[session] = [scores["waf1"]]
    rows = [
        [name, *map(show, of_sessions.values()), show(np.mean(list(of_sessions.values()), axis=0).tolist())]
        for name, of_sessions in numbers.items()
    ]
    return {"head": ["WAF1", *map(str, np.unique(sessions)), "mean"], "rows": rows, "networks": numbers}


def choose_epochs(study: Study, corpus: str) -> dict[str, Any]:
    """The same training with the test split in the place of the validation split shows its score after each epoch."""
    split = study.corpus(corpus).split
    validation, test = (SPLITS.index(name) for name in ("validation", "test"))
    if not np.any(split == validation):
        # The network holds out training dialogues by itself; the same ones have to stay out of its sight here.
        data = study.data(corpus)
        split = hold_out_validation(study.corpus(corpus), data.validation_fraction, data.validation_seed).split
    seen, swapped = f"{corpus}_official", f"{corpus}_swapped"
    study.derive(seen, corpus, split)
    study.derive(swapped, corpus, np.where(split == test, validation, np.where(split == validation, test, split)))
    curves = {
        name: np.array([seed["curves"]["validation_waf1"] for seed in study.train(source, FULL).network["seeds"]])
        for name, source in (("validation", seen), ("test", swapped))
    }
    runs = np.arange(len(curves["test"]))
    chosen = {
        "last epoch": curves["test"][:, -1],
        "best epoch on the validation split": curves["test"][runs, curves["validation"].argmax(axis=1)],
        "best epoch on the test split": curves["test"].max(axis=1),
    }
    rows = [[name, show(scores.tolist())] for name, scores in chosen.items()]
    return {
        "head": ["weights of the", "test WAF1"],
        "rows": rows,
        "chosen": {name: scores.tolist() for name, scores in chosen.items()},
    }


def train_on_validation(study: Study, corpus: str) -> dict[str, Any]:
    """The last epoch of a fixed recipe needs no validation split, so that its dialogues can be trained on as well."""
    name = study.derive_refit(corpus)
    refitted = study.train(name, FULL)
    networks = {"full, training split alone": study.train(corpus, FULL), FULL: refitted}
    numbers = {
        title: {score: trained.scores(score) for score in ("waa", "waf1", "macro_f1")}
        for title, trained in networks.items()
    }
    for title, outcome in study_models(study, name):
        numbers[title] = {key: [score] for key, score in score_predicted(refitted.labels, outcome.predicted).items()}
    rows = [[title, *map(show, scores.values())] for title, scores in numbers.items()]
    return {"head": ["", "WAA", "WAF1", "macro-F1"], "rows": rows, "networks": numbers}


def split_scenes(study: Study, corpus: str) -> dict[str, Any]:
    """Scores over the scripted and over the improvised dialogues of the test split."""
    trained = study.train(corpus, FULL)
    scripted = np.array(["script" in name for name in trained.corpus.dialogue_names])
    of_utterance = scripted[trained.corpus.dialogue_of_utterance][trained.utterances]
    rows, numbers = [], {}
    for name, kept in (("scripted", of_utterance), ("improvised", ~of_utterance)):
        waf1 = score_seeds(trained.predicted[:, kept], trained.labels[kept], trained.corpus.num_classes).tolist()
        numbers[name] = {"utterances": int(kept.sum()), "waf1": waf1}
        rows.append([name, str(kept.sum()), show(waf1)])
    return {"head": ["", "utterances", "WAF1"], "rows": rows, "scenes": numbers}


def damage_modalities(study: Study, corpus: str) -> dict[str, Any]:
    """Noise on one modality of the test split: the score, and the weight that the network gives this modality."""
    trained = study.train(corpus, FULL)
    modalities = sorted(trained.network["features"])

    def add_noise(modality: str, size: float) -> Callable[[Utterances], Utterances]:
        def change(utterances: Utterances) -> Utterances:
            values = utterances.features[modality]
            noise = np.random.default_rng(0).standard_normal(values.shape, np.float32)
            return utterances._replace(features=utterances.features | {modality: values + size * noise})

        return change

    measured = {
        modality: [_score_changed(trained, add_noise(modality, size), place) for size in NOISE]
        for place, modality in enumerate(modalities)
    }
    numbers = {
        modality: {name: [one[name] for one in levels] for name in ("waf1", "weight")}
        for modality, levels in measured.items()
    }
    rows = [
        [f"{modality}, {name}", *(show(values) for values in scores)]
        for modality, of_modality in numbers.items()
        for name, scores in of_modality.items()
    ]
    head = ["noise on", *(f"{size:g} deviations" for size in NOISE)]
    return {"head": head, "rows": rows, "noise": list(NOISE), "modalities": numbers}


def take_modalities_away(study: Study, corpus: str) -> dict[str, Any]:
    """The test split without a modality, and with some utterances that lack either; with practice and without."""
    networks = {
        "full": study.train(corpus, FULL),
        f"full, {MODALITY_DROPOUT}": study.train(corpus, "modality dropout", (MODALITY_DROPOUT,)),
    }
    modalities = sorted(networks["full"].network["features"])

    def remove(modality: str) -> Callable[[Utterances], Utterances]:
        def change(utterances: Utterances) -> Utterances:
            nothing = jnp.zeros_like(utterances.available[modality])
            return utterances._replace(available=utterances.available | {modality: nothing})

        return change

    def remove_some(utterances: Utterances) -> Utterances:
        random = np.random.default_rng(0)
        hit = random.random(utterances.labels.shape) < MISSING_SHARE
        victim = random.integers(0, len(modalities), utterances.labels.shape)
        available = {
            name: utterances.available[name] & ~(hit & (victim == place)) for place, name in enumerate(modalities)
        }
        return utterances._replace(available=available)

    conditions: dict[str, Callable[[Utterances], Utterances]] = {
        "everything": lambda utterances: utterances,
        **{f"without {name}": remove(name) for name in modalities},
        f"{100 * MISSING_SHARE:.0f} % lack one": remove_some,
    }
    numbers = {
        name: {condition: _score_changed(trained, change)["waf1"] for condition, change in conditions.items()}
        for name, trained in networks.items()
    }
    rows = [[name, *map(show, of_network.values())] for name, of_network in numbers.items()]
    return {"head": ["WAF1", *conditions], "rows": rows, "networks": numbers}


def _score_changed(
    trained: Trained, change: Callable[[Utterances], Utterances], place: int = 0
) -> dict[str, list[float]]:
    """WAF1 on the changed test split, and the mean weight of the modality of that place, a value a seed."""
    utterances, rows = change(trained.task.utterances), trained.task.evaluation_rows("test")
    predicted, weights = [], []
    for params in trained.load_seeds():
        said = predict(params, utterances, jnp.asarray(rows), network=trained.flax_network)
        predicted.append(np.asarray(said.probabilities)[rows >= 0].argmax(axis=-1))
        weights.append(float(np.asarray(said.weights)[:, place][rows >= 0].mean()))
    labels = trained.corpus.labels[rows[rows >= 0]]
    waf1 = score_seeds(np.array(predicted), labels, trained.corpus.num_classes)
    return {"waf1": waf1.tolist(), "weight": weights}


if __name__ == "__main__":
    sys.exit(run_script("experiments.protocol", Protocol, main))
