"""The commands of the paper's tables and figures on tiny corpora."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.paper.study import Study, StudyOptions, Trained
from experiments.paper.variants import FULL
from experiments.tables import Tables
from experiments.tables import main as tables
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.corpus_file import save_corpus
from tests.testing.corpora import compile_quickly, make_corpus
from tests.testing.tiny_study import LENGTHS, NAMES, SPLITS
from tests.testing.tiny_study import SETTINGS as STUDY_SETTINGS


@pytest.fixture(scope="session")
def study_corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three corpora; that of the sentiments has two classes and some sentiments of 0."""
    folder = tmp_path_factory.mktemp("corpora")
    words = np.random.default_rng(0)
    for name, classes in (("iemocap", 3), ("meld", 3), ("mosi", 2)):
        corpus = make_corpus(LENGTHS, SPLITS, num_classes=classes)
        texts = tuple(" ".join(words.choice(["oh", "no", "well", "yes", "never"], 3)) for _ in corpus.labels)
        corpus = dataclasses.replace(corpus, name=name, dialogue_names=NAMES, texts=texts)
        save_corpus(corpus, folder / f"{name}.npz")
    with np.load(folder / "mosi.npz") as arrays:
        kept = dict(arrays)
    sentiment = np.where(kept["label"] == 1, np.arange(len(kept["label"])) % 3, -1).astype(np.float32)
    np.savez(folder / "mosi.npz", **kept, sentiment=sentiment)
    return folder


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of the commands leave their networks and results."""
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="session")
def study_places(study_corpora: Path, study_folder: Path) -> list[str]:
    """Options of a command: where it reads and writes."""
    return [
        *("--corpora", str(study_corpora)),
        *("--runs", str(study_folder / "runs")),
        *("--results", str(study_folder / "results")),
    ]


@pytest.fixture(scope="session")
def run_study(study_places: list[str], study_folder: Path) -> Callable[..., dict[str, Any]]:
    """A command in its quick form on iemocap alone; what it writes to NAME.json."""

    def call(command: Any, main: Any, name: str, *arguments: str, only: str = "iemocap") -> dict[str, Any]:
        settings = [part for setting in STUDY_SETTINGS for part in ("--set", setting)]
        with compile_quickly():
            assert (
                run_script("x", command, main, [*study_places, "--quick", "--only", only, *settings, *arguments]) == 0
            )
        numbers: dict[str, Any] = json.loads((study_folder / "results" / f"{name}.json").read_text(encoding="utf-8"))
        return numbers

    return call


@pytest.fixture(scope="session")
def full(run_study: Callable[..., dict[str, Any]], study_corpora: Path, study_folder: Path) -> Trained:
    """The full network on iemocap as the commands see it."""
    run_study(Tables, tables, "table_1", "--table", "1")
    options = StudyOptions(
        study_corpora, study_folder / "runs", study_folder / "results", quick=True, set=STUDY_SETTINGS
    )
    return Study(options).train("iemocap", FULL)
