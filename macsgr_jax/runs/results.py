"""The results file: the description of a run and its scores. docs/results.md documents the schema."""

import dataclasses
import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from macsgr_jax import __version__
from macsgr_jax.config import Config
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.dataset import PreparedCorpus
from macsgr_jax.metrics import Counts, scores, summarize
from macsgr_jax.overrides import to_json

SCHEMA = "macsgr_jax.results/1"
SCALARS = ("waa", "waf1", "macro_f1", "uar", "nll", "ece")
PER_CLASS = ("f1", "recall", "precision", "support")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "jraph", "ott-jax", "orbax-checkpoint", "numpy")


@dataclasses.dataclass(frozen=True)
class SeedResult:
    """The scores and curves of one seed.

    Attributes:
        seed: the seed.
        epoch: the epoch of the weights that were evaluated.
        validation: scores of the validation split, as `score_counts` makes them.
        test: scores of the test split, null where it has no labels.
        curves: the mean of each loss term and the validation WAF1, one value per epoch.
        seconds: wall-clock time.
        parameters: the number of trained parameters, prototypes included.
        collapsed: `epoch` and `reason` where the run had stopped learning at its end, as `health.find_collapse` finds
            it; None where it learned.
    """

    seed: int
    epoch: int
    validation: dict[str, Any]
    test: dict[str, Any]
    curves: dict[str, list[float]]
    seconds: float
    parameters: int
    collapsed: dict[str, Any] | None = None


def score_counts(counts: Counts, label_names: tuple[str, ...]) -> dict[str, Any]:
    """Computes the scores of a split as plain values.

    Args:
        counts: the counts of the split.
        label_names: the C emotions.

    Returns:
        The scalars of SCALARS; `classes`: emotion -> the values of PER_CLASS; `confusion`: rows gold, columns
        predicted. Scores are None where no utterance has a label.
    """
    values = {name: np.asarray(value) for name, value in scores(counts).items()}
    labelled = bool(np.any(counts.confusion))
    return {
        **{name: float(values[name]) if labelled else None for name in SCALARS},
        "classes": {
            label: {name: float(values[name][index]) if labelled or name == "support" else None for name in PER_CLASS}
            for index, label in enumerate(label_names)
        },
        "confusion": np.asarray(counts.confusion).tolist(),
    }


def summarize_seeds(results: list[SeedResult]) -> dict[str, Any]:
    """Computes mean and sample standard deviation over the seeds of every score, and of F1 and recall by class.

    Those of a split without labels are null.
    """

    def over_seeds(split: str) -> dict[str, Any]:
        runs = [getattr(result, split) for result in results]
        return {
            **{name: _mean_and_deviation([run[name] for run in runs]) for name in SCALARS},
            "classes": {
                label: {
                    name: _mean_and_deviation([run["classes"][label][name] for run in runs])
                    for name in ("f1", "recall")
                }
                for label in runs[0]["classes"]
            },
        }

    return {"validation": over_seeds("validation"), "test": over_seeds("test")}


def describe_corpus(corpus: Corpus, path: Path | None, out: Path = Path()) -> dict[str, Any]:
    """Describes a corpus.

    Args:
        corpus: the corpus.
        path: its file; None where it was generated.
        out: the folder of the run, from which the path is told.

    Returns:
        Name, path from the folder of the run, hash, labels, splits and notices.
    """
    return {
        "name": corpus.name,
        "path": None if path is None else _relative_path(path, out),
        "sha256": corpus.sha256,
        "labels": list(corpus.label_names),
        "splits": {
            split: {"dialogues": len(corpus.dialogues_of(split)), "utterances": len(corpus.utterances_of(split))}
            for split in SPLITS
        },
        "notices": list(corpus.notices),
    }


def describe_machine() -> dict[str, Any]:
    """Returns the versions of the packages and the devices."""
    device = jax.devices()[0]
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
    }


def describe_command() -> list[str]:
    """Returns the command line without --resume, so that an interrupted run gives the same results file."""
    return [Path(sys.argv[0]).name, *(_shorten(argument) for argument in sys.argv[1:] if argument != "--resume")]


def _shorten(argument: str) -> str:
    """Returns an argument without the folders of an absolute path, which say more about a computer than about a run."""
    name, equals, value = argument.partition("=")
    if equals and os.path.isabs(value):
        return f"{name}={Path(value).name}"
    return Path(argument).name if os.path.isabs(argument) or argument.startswith("~") else argument


def _relative_path(path: Path, out: Path) -> str:
    """Returns the path of a corpus from the folder of a run: it holds while both are moved together."""
    try:
        return Path(os.path.relpath(path, out)).as_posix()
    except ValueError:  # On another drive.
        return path.name


def describe_network(prepared: PreparedCorpus, config: Config, results: list[SeedResult]) -> dict[str, Any]:
    """Returns one network's part of the results file: its configuration and its seeds."""
    return {
        "features": {modality: list(names) for modality, names in prepared.standardizer.feature_sets.items()},
        "config": to_json(config),
        "batch": {
            "rows_per_step": prepared.rows_per_step,
            "slots_per_row": prepared.training_slots,
            "steps_per_epoch": prepared.steps_per_epoch,
            "padding_share": prepared.padding_fraction(),
        },
        "seeds": [dataclasses.asdict(result) for result in results],
        "summary": summarize_seeds(results),
    }


def assemble(
    corpus: dict[str, Any],
    networks: dict[str, dict[str, Any]],
    references: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Assembles the results file.

    Args:
        corpus: the description of `describe_corpus`.
        networks: name -> description of `describe_network`; "full" is the network of all modalities.
        references: name -> scores to compare with, such as the best possible ones of the synthetic corpus.

    Returns:
        Plain values.
    """
    return {
        "schema": SCHEMA,
        "version": __version__,
        "command": describe_command(),
        "corpus": corpus,
        **describe_machine(),
        "reference": {name: dict(scores) for name, scores in references.items()},
        "networks": networks,
    }


def _mean_and_deviation(values: list[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "std": None}
    mean, deviation = summarize(known)
    return {"mean": mean, "std": deviation}
