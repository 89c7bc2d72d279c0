"""Train and evaluate MA-CMU-SGRNet on a corpus of conversations."""

import csv
import dataclasses
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from macsgr_jax.calibration import fit_temperature
from macsgr_jax.cli.common import configure, describe_settings, make_console, run_script
from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus, choose_features
from macsgr_jax.data.dataset import PreparedCorpus, prepare
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_json, write_text
from macsgr_jax.overrides import override, to_json
from macsgr_jax.runs.corpora import SYNTHETIC, describe_best, read_corpus
from macsgr_jax.runs.evaluate import Prediction, measure, predict_split
from macsgr_jax.runs.execution import Execution, Spec, train_network
from macsgr_jax.runs.folder import RESULTS_FILE, TEMPERATURES_FILE, open_folder
from macsgr_jax.runs.interruption import StopRequests
from macsgr_jax.runs.planning import TrainingOptions, plan_execution
from macsgr_jax.runs.plots import plot_confusion, plot_curves
from macsgr_jax.runs.results import assemble, describe_corpus, describe_network
from macsgr_jax.runs.tables import as_screen_table, class_rows, describe_outcome, score_rows, write_report
from macsgr_jax.training.checkpoint import load_params, save_description
from macsgr_jax.training.devices import is_writer, start_processes

OUTPUTS = ("report.md", "predictions.csv", "confusion.png", "curves.png")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(TrainingOptions):
    """Train MA-CMU-SGRNet on a corpus of conversations, evaluate it on unseen dialogues, and write a report.

    The folder gets results.json, report.md, predictions.csv, figures and checkpoints.

    Attributes:
        seeds: How many seeds to train: first_seed, first_seed + 1, ...
        first_seed: The first seed.
        single_modalities: Also train the network on each modality alone, and put it into the table.
    """

    seeds: int = 3
    first_seed: int = 0
    single_modalities: bool = False


def main(command: Train) -> None:
    """Corpus -> prepared_corpora -> runs -> results file -> tables and figures."""
    if command.distributed:
        start_processes(command.distributed)
    console = make_console()
    if command.seeds < 1 or command.first_seed < 0:
        raise InputError("--seeds must be at least 1 and --first-seed at least 0")
    config = configure(command.preset, command.set, command.features, command.epochs)
    corpus = read_corpus(command.corpus)
    variants = choose_variants(corpus, config, command.single_modalities)
    prepared_corpora = {name: prepare(corpus, variant) for name, variant in variants.items()}
    full = prepared_corpora["full"]
    for notice in full.corpus.notices:
        console.print(f"note: {notice}", highlight=False)
    description = describe_corpus(full.corpus, None if command.corpus == SYNTHETIC else Path(command.corpus))
    with StopRequests() as stop:
        execution = plan_execution(command, console, stop, full, config)
        identity = describe_run(command, description, variants, execution)
        if not open_folder(command.out, identity, (*OUTPUTS, "checkpoints"), command.resume, command.overwrite):
            results_file = json.loads((command.out / RESULTS_FILE).read_text(encoding="utf-8"))
            show_tables(console, results_file, command.out)
            return
        networks: dict[str, dict[str, Any]] = {}
        for name, prepared in prepared_corpora.items():
            folder = command.out / "checkpoints" / name
            if is_writer():
                stored = {"corpus": description, "config": to_json(variants[name])}
                save_description(folder, stored, prepared.standardizer, corpus.extractors)
            specs = [Spec(f"seed_{seed}", seed, variants[name]) for seed in seeds_of(command)]
            histories = train_network(prepared, specs, folder, execution, name)
            if is_writer():
                networks[name] = describe_network(prepared, variants[name], measure(prepared, specs, histories, folder))
    if is_writer():
        predictions = write_predictions(full, config, networks["full"], command.out / "checkpoints" / "full")
        results_file = assemble(description, networks, describe_best(command.corpus, corpus))
        write_outputs(command.out, results_file, predictions)
        show_tables(console, results_file, command.out)


def seeds_of(command: Train) -> range:
    """The seeds that a command line asks for."""
    return range(command.first_seed, command.first_seed + command.seeds)


def choose_variants(corpus: Corpus, config: Config, single_modalities: bool) -> dict[str, Config]:
    """The networks to train: "full", and each modality alone where that is asked for.

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


def describe_run(
    command: Train, corpus: dict[str, Any], variants: dict[str, Config], execution: Execution
) -> dict[str, Any]:
    """What has to be the same for a run to go on."""
    return {
        "corpus_sha256": corpus["sha256"],
        "seeds": list(seeds_of(command)),
        "runs_at_once": execution.runs_at_once,
        "devices": dict(execution.mesh.shape),
        "networks": {name: to_json(config) for name, config in variants.items()},
    }


def write_predictions(prepared: PreparedCorpus, config: Config, network: dict[str, Any], folder: Path) -> str:
    """Temperatures beside the weights, fitted on the validation split; predictions.csv: a row a seed and utterance."""
    corpus = prepared.corpus
    labels = corpus.label_names
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["seed", "utterance_id", "gold", "predicted"]
    head += [f"p_{label}" for label in labels] + [f"weight_{name}" for name in sorted(prepared.utterances.features)]
    writer.writerow(head)
    tested = set(corpus.utterances_of("test").tolist())
    temperatures = {}
    for seed in (result["seed"] for result in network["seeds"]):
        params, _ = load_params(folder / f"seed_{seed}", config.train.checkpoint)
        held_out: list[Prediction] = []
        for prediction in predict_split(prepared, config, params, "validation", "test"):
            utterance, probabilities, weights = prediction
            if utterance not in tested:
                held_out.append(prediction)
                continue
            names = [
                corpus.utterance_ids[utterance],
                labels[corpus.labels[utterance]],
                labels[np.argmax(probabilities)],
            ]
            writer.writerow([seed, *names, *_round(probabilities), *_round(weights)])
        with np.errstate(divide="ignore"):
            logits = np.log(np.array([one.probabilities for one in held_out], np.float64))
        temperatures[str(seed)] = fit_temperature(logits, corpus.labels[[one.utterance for one in held_out]])
    write_json(folder / TEMPERATURES_FILE, temperatures)
    return text.getvalue()


def write_outputs(out: Path, results: dict[str, Any], predictions: str) -> None:
    """Everything under --out but the checkpoints; the results file comes last, as the sign that the run is finished."""
    full, corpus = results["networks"]["full"], results["corpus"]
    write_text(out / "predictions.csv", predictions)
    plot_confusion(full, corpus["labels"], f"{corpus['name']}, test split", out / "confusion.png")
    plot_curves(full, corpus["name"], out / "curves.png")
    write_text(out / "report.md", write_report(results))
    write_json(out / RESULTS_FILE, results)


def show_tables(console: Console, results: dict[str, Any], out: Path) -> None:
    """The tables on the screen, and where the rest is."""
    console.print(as_screen_table(*class_rows(results["networks"]["full"])))
    console.print(as_screen_table(*score_rows(results)))
    for line in describe_outcome(results):
        console.print(line, highlight=False)
    console.print(f"wrote {out}: {RESULTS_FILE}, {', '.join(OUTPUTS)}, checkpoints", highlight=False, soft_wrap=True)


def _round(values: np.ndarray) -> Iterator[str]:
    return (f"{value:.6f}" for value in values)


if __name__ == "__main__":
    sys.exit(run_script("macsgr_jax.cli.train", Train, main, help_ending=describe_settings()))
