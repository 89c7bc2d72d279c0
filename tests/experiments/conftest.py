"""Runs the scripts of the paper's tables and figures on tiny corpora."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.paper.study import NetworkCache, StudyOptions, TrainedNetwork
from experiments.paper.variants import CORPORA, FULL
from experiments.tables import Tables
from experiments.tables import main as tables
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from tests.testing.corpora import compile_quickly, make_corpus
from tests.testing.tiny_study import LENGTHS, NAMES, SETTINGS, SPLITS


@pytest.fixture(scope="session")
def study_corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of corpora of the same shape, which share one compiled program; two have sentiments."""
    folder = tmp_path_factory.mktemp("corpora")
    random = np.random.default_rng(0)
    for name in CORPORA:
        corpus = make_corpus(LENGTHS, SPLITS)
        texts = tuple(" ".join(random.choice(["oh", "no", "well", "yes", "never"], 3)) for _ in corpus.labels)
        corpus = dataclasses.replace(corpus, name=name, dialogue_names=NAMES, texts=texts)
        save_corpus(corpus, folder / f"{name}.npz")
    for name in ("mosei", "mosi"):
        with np.load(folder / f"{name}.npz") as arrays:
            kept = dict(arrays)
        sentiment = np.where(kept["label"] == 1, np.arange(len(kept["label"])) % 3, -1).astype(np.float32)
        np.savez(folder / f"{name}.npz", **kept, sentiment=sentiment)
    return folder


@pytest.fixture(scope="session")
def tiny_iemocap(study_corpora: Path) -> Corpus:
    """Returns the corpus that the scripts know as iemocap."""
    return load_corpus(study_corpora / "iemocap.npz")


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of the networks and results of all scripts."""
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="session")
def study_options(study_corpora: Path, study_folder: Path) -> list[str]:
    """Returns the options of a script for its folders."""
    return [
        *("--corpora", str(study_corpora)),
        *("--runs", str(study_folder / "runs")),
        *("--results", str(study_folder / "results")),
    ]


@pytest.fixture(scope="session")
def run_study(study_options: list[str], study_folder: Path) -> Callable[..., dict[str, Any]]:
    """Returns a function that runs a script in its quick form on iemocap alone and returns the contents of its JSON."""

    def call(command: Any, main: Any, name: str, *arguments: str, only: str = "iemocap") -> dict[str, Any]:
        settings = [part for setting in SETTINGS for part in ("--set", setting)]
        given = [*study_options, "--quick", "--only", only, *settings, *arguments]
        with compile_quickly():
            assert run_script("x", command, main, given) == 0
        artifact: dict[str, Any] = json.loads((study_folder / "results" / f"{name}.json").read_text(encoding="utf-8"))
        return artifact

    return call


@pytest.fixture(scope="session")
def full(run_study: Callable[..., dict[str, Any]], study_corpora: Path, study_folder: Path) -> TrainedNetwork:
    """Returns the full network on iemocap as the scripts see it."""
    run_study(Tables, tables, "table_1", "--table", "1")
    options = StudyOptions(study_corpora, study_folder / "runs", study_folder / "results", quick=True, set=SETTINGS)
    return NetworkCache(options).train("iemocap", FULL)
