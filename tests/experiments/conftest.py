"""One tiny run of the training script that several tests look at, and the commands of the paper's evidence."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from experiments.commandline import run_script
from experiments.study import Study, StudyOptions, Trained
from experiments.tables import Tables
from experiments.tables import main as tables
from experiments.train import Train, main
from experiments.variants import FULL
from macsgr_jax.data import synthetic
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import save_corpus
from tests.corpora import TINY, compile_quickly, make_corpus
from tests.experiments.tiny_study import LENGTHS, NAMES, SPLITS
from tests.experiments.tiny_study import SETTINGS as STUDY_SETTINGS

SETTINGS = tuple(part for setting in (*TINY, "train.checkpoint=best") for part in ("--set", setting))


class Run(NamedTuple):
    """Where a run lies, its corpus file, and the corpus."""

    out: Path
    corpus_file: Path
    corpus: Corpus


def train(*arguments: str) -> int:
    """The training script in this process, with tiny sizes for four epochs; the exit code."""
    with compile_quickly():
        return run_script("experiments.train", Train, main, ["--epochs", "4", *SETTINGS, *arguments])


@pytest.fixture(scope="session")
def small_corpus() -> Corpus:
    """Eight dialogues of the synthetic model, so that a corpus file and `--corpus synthetic` have the same shapes."""
    return synthetic.generate(8)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, small_corpus: Corpus) -> Run:
    """Two seeds of the full network and of each modality alone; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    save_corpus(small_corpus, folder / "talks.npz")
    arguments = ["--corpus", str(folder / "talks.npz"), "--seeds", "2", "--single-modalities"]
    assert train(*arguments, "--out", str(folder / "run")) == 0
    return Run(folder / "run", folder / "talks.npz", small_corpus)


@pytest.fixture(scope="session")
def run_train() -> Callable[..., int]:
    """`train`."""
    return train


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
