"""Robustness studies: noise, missing modalities, missing labels, scripted and improvised dialogues, calibration."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from experiments.paper.artifact import Figure, Table, run_table
from experiments.paper.calibration_study import REMARKS as CALIBRATION_REMARKS
from experiments.paper.calibration_study import measure_calibration
from experiments.paper.cross_validation import derive_folds
from experiments.paper.default_preset import FEATURES, score_parts
from experiments.paper.default_preset import REMARKS as CORPORA_REMARKS
from experiments.paper.figure_plots import draw_calibration, draw_gradients, draw_noise
from experiments.paper.formatting import format_percent
from experiments.paper.gradient_study import REMARKS as GRADIENT_REMARKS
from experiments.paper.gradient_study import compare_readings
from experiments.paper.study import NetworkCache, StudyOptions, TrainedNetwork
from experiments.paper.untuned_corpus import REMARKS as UNTUNED_REMARKS
from experiments.paper.untuned_corpus import score_untuned
from experiments.paper.variants import CORPORA, FULL, list_differences
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.corpus import UNLABELLED, keep_utterances
from macsgr_jax.presets import DEFAULT, ROBUST
from macsgr_jax.significance import score_seeds
from macsgr_jax.training.step import predict
from macsgr_jax.types import Utterances

NOISE = (0.0, 0.5, 1.0, 2.0, 4.0)  # Standard deviations of a feature.
MISSING_FRACTION = 0.3
HIDDEN_FRACTION = 0.3
MODALITY_DROPOUT = "train.modality_dropout=0.3"

Change = Callable[[Utterances], Utterances]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Robustness(StudyOptions):
    """Test the network under changed conditions: train the networks that are missing, test, write a table and a figure.

    Attributes:
        part: noise: noise on one modality. trust: the same for networks of the preset robust. missing: utterances
            without a modality. scenes: scripted and improvised dialogues of IEMOCAP. calibration: are confident
            predictions right more often? unlabelled: training utterances without a label. corpora: the default preset
            on corpora of every kind. dailydialog: the same on a corpus nobody tuned for, test split. gradients: which
            gradients are large.
    """

    part: Literal[
        "noise", "trust", "missing", "scenes", "calibration", "unlabelled", "corpora", "dailydialog", "gradients"
    ]


def main(command: Robustness) -> None:
    """Makes robustness_PART.json, robustness_PART.md and, for noise, calibration and gradients, robustness_PART.png."""
    run_table(PARTS[command.part], command)


def hide_labels(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Hides training labels, and leaves out folds of the training dialogues in turn: WAF1 of the fold, last epoch."""
    numbers: dict[str, list[list[float]]] = {}
    for fold, name in derive_folds(cache, corpus).items():
        whole = cache.corpus(name)
        rows = whole.utterances_of("train")
        hidden = np.random.default_rng(fold).permutation(rows)[: round(HIDDEN_FRACTION * len(rows))]
        keep = np.ones(whole.num_utterances, bool)
        keep[hidden] = False
        labels = np.where(keep, whole.labels, UNLABELLED).astype(np.int32)
        cache.store(f"{name}_context", name, dataclasses.replace(whole, name=f"{name}_context", labels=labels))
        cache.store(f"{name}_dropped", name, dataclasses.replace(keep_utterances(whole, keep), name=f"{name}_dropped"))
        for title, source in (
            ("all labels", name),
            ("utterances without a label as context", f"{name}_context"),
            ("the same utterances left out", f"{name}_dropped"),
        ):
            seeds = cache.train(source, FULL).network["seeds"]
            numbers.setdefault(title, []).append([seed["curves"]["validation_waf1"][-1] for seed in seeds])
    rows_of_table = [
        [title, format_percent(np.mean(scores, axis=0).tolist()), *map(format_percent, scores)]
        for title, scores in numbers.items()
    ]
    head = ["training split", "WAF1", *(f"fold {fold}" for fold in range(len(rows_of_table[0]) - 2))]
    return {"head": head, "rows": rows_of_table, "waf1": numbers}


def split_scenes(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Scores the scripted and the improvised dialogues of the test split."""
    trained = cache.train(corpus, FULL)
    scripted = np.array(["script" in name for name in trained.corpus.dialogue_names])
    of_utterance = scripted[trained.corpus.dialogue_of_utterance][trained.utterances]
    rows, numbers = [], {}
    for name, kept in (("scripted", of_utterance), ("improvised", ~of_utterance)):
        waf1 = score_seeds(trained.predicted[:, kept], trained.labels[kept], trained.corpus.num_classes).tolist()
        numbers[name] = {"utterances": int(kept.sum()), "waf1": waf1}
        rows.append([name, str(kept.sum()), format_percent(waf1)])
    return {"head": ["", "utterances", "WAF1"], "rows": rows, "scenes": numbers}


def add_noise(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Adds noise to one modality of the test split: WAF1, and the fusion weight of this modality."""
    return measure_noise(cache.train(corpus, FULL))


def teach_trust(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Does the same with the network of the preset robust, on the features and epochs of the corpus's own preset."""
    return measure_noise(cache.train(corpus, "robust", robust_settings()))


def robust_settings() -> tuple[str, ...]:
    """Returns the settings in which the preset robust differs from the published one, whatever the corpus."""
    changed = (f"{name}={value}" for name, value in list_differences(ROBUST, DEFAULT).items())
    return (*changed, f"model.max_std={ROBUST.model.max_std}", f"train.clip_norm={ROBUST.train.clip_norm}")


def measure_noise(trained: TrainedNetwork) -> dict[str, Any]:
    """Adds noise to one modality of the test split, and takes it away: WAF1, and the fusion weight of this modality."""
    modalities = sorted(trained.network["features"])

    def change_features(modality: str, size: float) -> Change:
        def change(utterances: Utterances) -> Utterances:
            values = utterances.features[modality]
            noise = np.random.default_rng(0).standard_normal(values.shape, np.float32)
            return utterances._replace(features=utterances.features | {modality: values + size * noise})

        return change

    scores = {
        modality: [
            *(score_changed(trained, change_features(modality, size), index) for size in NOISE),
            score_changed(trained, remove_modality(modality), index),
        ]
        for index, modality in enumerate(modalities)
    }
    numbers = {
        modality: {name: [level[name] for level in levels] for name in ("waf1", "weight")}
        for modality, levels in scores.items()
    }
    rows = [
        [f"{modality}, {name}", *map(format_percent, values)]
        for modality, of_modality in numbers.items()
        for name, values in of_modality.items()
    ]
    head = ["noise on", *(f"{size:g} deviations" for size in NOISE), "taken away"]
    return {"head": head, "rows": rows, "noise": list(NOISE), "modalities": numbers}


def remove_modalities(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Removes modalities of the test split, for the network and for one trained with modality dropout."""
    networks = {
        "full": cache.train(corpus, FULL),
        f"full, {MODALITY_DROPOUT}": cache.train(corpus, "modality dropout", (MODALITY_DROPOUT,)),
    }
    modalities = sorted(networks["full"].network["features"])

    def remove_some(utterances: Utterances) -> Utterances:
        random = np.random.default_rng(0)
        affected = random.random(utterances.labels.shape) < MISSING_FRACTION
        removed = random.integers(0, len(modalities), utterances.labels.shape)
        available = {
            name: utterances.available[name] & ~(affected & (removed == index)) for index, name in enumerate(modalities)
        }
        return utterances._replace(available=available)

    conditions: dict[str, Change] = {
        "everything": lambda utterances: utterances,
        **{f"without {name}": remove_modality(name) for name in modalities},
        f"{100 * MISSING_FRACTION:.0f} % lack one": remove_some,
    }
    numbers = {
        name: {condition: score_changed(trained, change)["waf1"] for condition, change in conditions.items()}
        for name, trained in networks.items()
    }
    rows = [[name, *map(format_percent, of_network.values())] for name, of_network in numbers.items()]
    return {"head": ["WAF1", *conditions], "rows": rows, "networks": numbers}


def remove_modality(modality: str) -> Change:
    """Returns a change that takes a modality away from every utterance."""

    def change(utterances: Utterances) -> Utterances:
        nothing = jnp.zeros_like(utterances.available[modality])
        return utterances._replace(available=utterances.available | {modality: nothing})

    return change


def score_changed(trained: TrainedNetwork, change: Change, modality: int = 0) -> dict[str, list[float]]:
    """Scores a changed test split.

    Args:
        trained: the network.
        change: changes the utterances of the corpus.
        modality: the index of a modality.

    Returns:
        `waf1`, and `weight`, the mean fusion weight of the modality; one value per seed.
    """
    utterances, rows = change(trained.prepared.utterances), trained.prepared.evaluation_rows("test")
    predicted, weights = [], []
    for params in trained.load_seeds():
        output = predict(params, utterances, jnp.asarray(rows), network=trained.flax_network)
        predicted.append(np.asarray(output.probabilities)[rows >= 0].argmax(axis=-1))
        weights.append(float(np.asarray(output.weights)[:, modality][rows >= 0].mean()))
    labels = trained.corpus.labels[rows[rows >= 0]]
    labelled = labels != UNLABELLED
    waf1 = score_seeds(np.array(predicted)[:, labelled], labels[labelled], trained.corpus.num_classes)
    return {"waf1": waf1.tolist(), "weight": weights}


PARTS = {
    "scenes": Table(
        name="robustness_scenes",
        title="Scripted and improvised dialogues of IEMOCAP",
        corpora=("iemocap",),
        compute=split_scenes,
        kind="protocol",
    ),
    "calibration": Figure(
        name="robustness_calibration",
        title="Are confident predictions right more often?",
        corpora=CORPORA,
        compute=measure_calibration,
        remarks=CALIBRATION_REMARKS,
        plot=draw_calibration,
        kind="protocol",
    ),
    "noise": Figure(
        name="robustness_noise",
        title="Do the fusion weights follow the modality that noise is added to?",
        corpora=CORPORA,
        compute=add_noise,
        plot=draw_noise,
        kind="protocol",
    ),
    "trust": Figure(
        name="robustness_trust",
        title="The same for the preset robust, which is trained with noise and taught which modality errs",
        corpora=("iemocap", "meld"),
        compute=teach_trust,
        plot=draw_noise,
        kind="protocol",
    ),
    "missing": Table(
        name="robustness_missing",
        title="Utterances without one of their modalities",
        corpora=CORPORA,
        compute=remove_modalities,
        kind="protocol",
    ),
    "unlabelled": Table(
        name="robustness_unlabelled",
        title=f"{100 * HIDDEN_FRACTION:.0f} % of the training labels are missing",
        corpora=CORPORA,
        compute=hide_labels,
        remarks=("The score is that of the training dialogues that are left out in turn; the test split is not read.",),
        kind="protocol",
    ),
    "corpora": Table(
        name="robustness_corpora",
        title="The default preset on corpora of every kind",
        corpora=tuple(FEATURES),
        compute=score_parts,
        remarks=CORPORA_REMARKS,
        kind="protocol",
    ),
    "dailydialog": Table(
        name="robustness_dailydialog",
        title="DailyDialog, for which no setting was chosen",
        corpora=("dailydialog",),
        compute=score_untuned,
        remarks=UNTUNED_REMARKS,
        kind="protocol",
    ),
    "gradients": Figure(
        name="robustness_gradients",
        title="The gradient's norm at every step, and what bounding sigma does to it",
        corpora=("meld",),
        compute=compare_readings,
        plot=draw_gradients,
        remarks=GRADIENT_REMARKS,
        kind="protocol",
    ),
}


if __name__ == "__main__":
    sys.exit(run_script("experiments.robustness", Robustness, main))
