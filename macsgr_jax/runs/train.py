"""Trains and evaluates networks on a corpus, from the configuration to the results file and the figures."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from macsgr_jax import __version__
from macsgr_jax.calibration import fit_temperature
from macsgr_jax.config import Config
from macsgr_jax.data.corpus import UNLABELLED, Corpus, choose_features
from macsgr_jax.data.dataset import PreparedCorpus, layout_of, prepare
from macsgr_jax.data.labels import describe_splits, inspect_labels
from macsgr_jax.errors import InputError
from macsgr_jax.files import escape_formula, replace_not_finite, write_json, write_text
from macsgr_jax.overrides import override, to_json
from macsgr_jax.runs.evaluate import (
    UtterancePrediction,
    choose_split,
    describe_seed,
    gather_logits,
    predict_split,
    score_predictions,
)
from macsgr_jax.runs.execution import DEFAULT_EXECUTION, Execution, History, Spec, check_execution, train_network
from macsgr_jax.runs.figures import draw_if_possible
from macsgr_jax.runs.folder import (
    RESULTS_FILE,
    TEMPERATURES_FILE,
    begin_folder,
    is_to_train,
    read_results,
    release_folder,
)
from macsgr_jax.runs.health import Floor, find_collapse
from macsgr_jax.runs.progress import LOG_FILE, TENSORBOARD_FOLDER, EpochLog
from macsgr_jax.runs.references import compute_references
from macsgr_jax.runs.results import assemble, describe_corpus, describe_network
from macsgr_jax.runs.tables import count_of, write_report
from macsgr_jax.training.checkpoint import load_params, save_description
from macsgr_jax.training.devices import is_writer, wait_for_all
from macsgr_jax.training.loop import set_epochs

PREDICTIONS_FILE, REPORT_FILE = "predictions.csv", "report.md"
CONFUSION_FILE, CURVES_FILE = "confusion.png", "curves.png"
OUTPUTS = (REPORT_FILE, PREDICTIONS_FILE, CONFUSION_FILE, CURVES_FILE, LOG_FILE, TENSORBOARD_FOLDER, "checkpoints")


class EvaluatedNetwork(NamedTuple):
    """A trained network with its scores.

    Attributes:
        description: its part of the results file.
        predictions: the predictions of each seed for the test split, in the order of the corpus.
    """

    description: dict[str, Any]
    predictions: dict[int, list[UtterancePrediction]]


def train_and_evaluate(
    config: Config,
    corpus: Corpus,
    seeds: Sequence[int],
    out: Path,
    execution: Execution = DEFAULT_EXECUTION,
    *,
    single_modalities: bool = False,
    references: Mapping[str, Mapping[str, Any]] | None = None,
    simple_references: bool = False,
    corpus_path: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Trains the seeds of a network, evaluates and calibrates them, and writes results, report and figures.

    Args:
        config: the configuration of the network and its training.
        corpus: the corpus.
        seeds: the seeds, each of which is a run.
        out: the folder of the run; docs/results.md describes its contents.
        execution: how the runs are trained.
        single_modalities: whether to train the network on each modality alone too.
        references: name -> scores to show beside those of the network.
        simple_references: whether to show the majority class and logistic regression on the same features first.
        corpus_path: the file of the corpus, for the description of the run; None where it was generated.
        resume: whether to resume an interrupted run in the folder; a finished one is read.
        overwrite: whether to replace the run in the folder.

    Returns:
        The contents of the results file.

    Raises:
        InputError: a setting, the corpus or the folder cannot be used.
        Interrupted: a stop was requested; everything up to it is saved.
        DivergenceError: a loss is not finite.
    """
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds {list(seeds)}: give at least one seed, each once, and none below 0")
    variants = choose_variants(corpus, config, single_modalities)
    identity = {
        "corpus_sha256": corpus.sha256,
        "seeds": list(seeds),
        "networks": {name: to_json(variant) for name, variant in variants.items()},
    }
    if is_to_train(out, identity, resume, overwrite):
        prepared_corpora = {name: prepare(corpus, layout_of(variant)) for name, variant in variants.items()}
        variants = {name: set_epochs(variant, prepared_corpora[name]) for name, variant in variants.items()}
        full = prepared_corpora["full"]
        corpus_description = describe_corpus(full.corpus, corpus_path, out)
        check_execution(execution)
        begin_folder(out, identity, OUTPUTS, resume)
        describe_start(execution.console, full)
        evaluated: dict[str, EvaluatedNetwork] = {}
        for name, prepared in prepared_corpora.items():
            folder = out / "checkpoints" / name
            specs = [Spec(f"seed_{seed}", seed, variants[name]) for seed in seeds]
            log = EpochLog(out, name, execution.tensorboard)
            histories = train_network(prepared, specs, folder, execution, log, name)
            if is_writer():
                evaluated[name] = finish_network(prepared, specs, histories, folder, corpus_description)
        if is_writer():
            networks = {name: network.description for name, network in evaluated.items()}
            simple = compute_references(full, config) if simple_references else {}
            results = assemble(corpus_description, networks, {**simple, **(references or {})})
            # The results come last, since a run that has them is finished; pictures, which can fail, come after them.
            write_text(out / PREDICTIONS_FILE, format_predictions(full, evaluated["full"].predictions))
            write_text(out / REPORT_FILE, write_report(results))
            write_json(out / RESULTS_FILE, replace_not_finite(results))
        wait_for_all("results written")
        release_folder(out)
    results = read_results(out)
    if is_writer():
        draw_figures(out, results, execution.console)
    return results


def choose_variants(corpus: Corpus, config: Config, single_modalities: bool) -> dict[str, Config]:
    """Returns the networks to train: "full", and each modality alone where that is asked for.

    Raises:
        InputError: an unknown feature set.
    """
    chosen = choose_features(corpus, config.data.features)
    variants = {"full": config}
    if single_modalities and len(chosen) > 1:
        for modality, names in sorted(chosen.items()):
            # As in the paper's Table V, a modality alone is trained without any alignment.
            alone = [f"data.features={','.join(names)}", "loss.instance_alignment=false"]
            variants[modality] = override(config, alone)
    return variants


def describe_start(console: Console, prepared: PreparedCorpus) -> None:
    """Prints what loading the corpus noticed, its labels by split, the features that are read, and the devices."""
    for notice in (*prepared.corpus.notices, *inspect_labels(prepared.corpus)):
        console.print(f"note: {notice}", highlight=False, soft_wrap=True)
    for line in describe_splits(prepared.corpus):
        console.print(line, highlight=False, soft_wrap=True)
    features = "; ".join(
        f"{modality}: {', '.join(names)}" for modality, names in prepared.standardizer.feature_sets.items()
    )
    device = jax.devices()[0]
    kind = dict.fromkeys([device.platform, device.device_kind])  # A CPU has no other name.
    console.print(
        f"features {features}; on {count_of(jax.device_count(), 'device')} ({', '.join(kind)})",
        highlight=False,
        soft_wrap=True,
    )


def finish_network(
    prepared: PreparedCorpus,
    specs: Sequence[Spec],
    histories: Sequence[History],
    folder: Path,
    corpus_description: Mapping[str, Any],
) -> EvaluatedNetwork:
    """Evaluates and calibrates trained runs, and writes what is needed to use their weights beside them.

    Args:
        prepared: the prepared corpus.
        specs: the runs, of one configuration, each with another seed.
        histories: the history of each.
        folder: the folder of their weights; description, scaling and temperatures are written into it.
        corpus_description: the description of `results.describe_corpus`.

    Returns:
        Its scores and predictions.
    """
    config, corpus = specs[0].config, prepared.corpus
    description = {"version": __version__, "corpus": dict(corpus_description), "config": to_json(config)}
    save_description(folder, description, prepared.standardizer, corpus.extractors)
    # On the device once, for all seeds.
    prepared = dataclasses.replace(prepared, utterances=jax.device_put(prepared.utterances))
    floor = Floor(prepared)
    results, temperatures = [], {}
    predictions: dict[int, list[UtterancePrediction]] = {}
    for spec, history in zip(specs, histories, strict=True):
        params, epoch = load_params(folder / spec.name, config.train.checkpoint)
        predicted = list(predict_split(prepared, config, params, "validation", "test"))
        by_split = {split: choose_split(corpus, predicted, split) for split in ("validation", "test")}
        # The test split is read once, here, after training.
        scores = {split: score_predictions(corpus, of_split) for split, of_split in by_split.items()}
        collapse = find_collapse(history.terms, history.validation, config, floor)
        results.append(describe_seed(spec.seed, epoch, params, history, scores, collapse))
        temperatures[str(spec.seed)] = fit_temperature(*gather_logits(corpus, by_split["validation"]))
        predictions[spec.seed] = by_split["test"]
    write_json(folder / TEMPERATURES_FILE, temperatures)
    return EvaluatedNetwork(describe_network(prepared, config, results), predictions)


def format_predictions(prepared: PreparedCorpus, predictions: Mapping[int, Sequence[UtterancePrediction]]) -> str:
    """Returns predictions.csv as text: one row per seed and utterance of the test split."""
    corpus = prepared.corpus
    labels = corpus.label_names
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["seed", "utterance_id", "gold", "predicted", *(f"p_{label}" for label in labels)]
    writer.writerow([*head, *(f"weight_{name}" for name in sorted(prepared.utterances.features))])
    for seed, of_seed in predictions.items():
        for prediction in of_seed:
            utterance, probabilities = prediction.utterance, prediction.probabilities
            label = corpus.labels[utterance]
            gold, predicted = "" if label == UNLABELLED else labels[label], labels[np.argmax(probabilities)]
            numbers = (f"{value:.6f}" for value in (*probabilities, *prediction.weights))
            names = map(escape_formula, (corpus.utterance_ids[utterance], gold, predicted))
            writer.writerow([seed, *names, *numbers])
    return text.getvalue()


def draw_figures(out: Path, results: dict[str, Any], console: Console) -> None:
    """Draws the figures of a finished run that are not there yet; without matplotlib a note is printed instead."""
    full, corpus = results["networks"]["full"], results["corpus"]

    def draw_confusion_matrix(path: Path) -> None:
        from macsgr_jax.runs.plots import plot_confusion

        plot_confusion(full, corpus["labels"], f"{corpus['name']}, test split", path)

    def draw_learning_curves(path: Path) -> None:
        from macsgr_jax.runs.plots import plot_curves

        plot_curves(full, corpus["name"], path)

    draw_if_possible(out / CONFUSION_FILE, draw_confusion_matrix, console)
    draw_if_possible(out / CURVES_FILE, draw_learning_curves, console)
