"""One tiny run of `macsgr train` that several tests look at: fixtures of a plugin."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock

from macsgr_jax.cli.main import main
from macsgr_jax.data import synthetic
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import save_corpus
from tests.testing.corpora import TINY, compile_quickly
from tests.testing.shared_folder import find_shared_folder

SETTINGS = tuple(part for setting in (*TINY, "train.checkpoint=best") for part in ("--set", setting))


class Run(NamedTuple):
    """Where a run lies, its corpus file, and the corpus."""

    out: Path
    corpus_file: Path
    corpus: Corpus


def train(*arguments: str) -> int:
    """The training script in this process, with tiny sizes for four epochs; the exit code."""
    with compile_quickly():
        return main(["train", "--epochs", "4", *SETTINGS, *arguments])


@pytest.fixture(scope="session")
def small_corpus() -> Corpus:
    """Eight dialogues of the synthetic model, so that a corpus file and `--corpus synthetic` have the same shapes."""
    return synthetic.generate(8)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, small_corpus: Corpus) -> Run:
    """Two seeds of the full network and of each modality alone, the same for all workers; not to be changed."""
    folder = find_shared_folder(tmp_path_factory) / "trained"
    folder.mkdir(exist_ok=True)
    out, corpus_file = folder / "run", folder / "talks.npz"
    with FileLock(folder / "lock"):
        if not (out / "results.json").is_file():
            save_corpus(small_corpus, corpus_file)
            arguments = ["--corpus", str(corpus_file), "--seeds", "2", "--single-modalities", "--overwrite"]
            assert train(*arguments, "--out", str(out)) == 0
    return Run(out, corpus_file, small_corpus)


@pytest.fixture(scope="session")
def run_train() -> Callable[..., int]:
    """`train`."""
    return train
