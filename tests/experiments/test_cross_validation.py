"""Model selection without the test split."""

from pathlib import Path

import numpy as np
import pytest

from experiments.paper.cross_validation import assign_folds, choose_inverse_regularization, derive_folds, find_best
from experiments.paper.study import NetworkCache, StudyOptions
from macsgr_jax.data.corpus_file import save_corpus
from macsgr_jax.errors import InputError
from tests.testing.corpora import make_corpus
from tests.testing.tiny_study import NAMES, SETTINGS


def test_within_one_standard_error() -> None:
    """What is within one standard error of the best is named."""
    folds = np.array([0.90, 0.94, 0.92, 0.96])  # Mean 0.93, deviation 0.0258, standard error 0.0129.
    scores = {"simple": folds - 0.012, "simplest": folds - 0.014, "best": folds}
    assert find_best(scores) == ["simple", "best"]
    assert find_best({"one": np.array([0.5]), "two": np.array([0.6])}) == ["two"]


def test_simplest_candidate() -> None:
    """The simplest inverse regularization among those as good as the best is chosen where that is asked for."""
    corpus = make_corpus((10,) * 8, ["train"] * 8)
    # Candidate -> wrong tenths of each two dialogues that are left out.
    wrong = {0.1: (0, 2, 0, 1), 0.2: (0, 0, 0.5, 1), 0.3: (0, 0, 0, 1)}

    def predict(train: np.ndarray, rows: np.ndarray, inverse_regularization: float) -> np.ndarray:
        left_out = np.setdiff1d(np.arange(4), assign_folds(corpus)[corpus.dialogue_of_utterance[train]])[0]
        count = int(2 * wrong[inverse_regularization][left_out])
        predicted: np.ndarray = corpus.labels[rows].copy()
        predicted[:count] = (predicted[:count] + 1) % corpus.num_classes
        return predicted

    chosen = [choose_inverse_regularization(corpus, predict, tuple(wrong), simplest)[0] for simplest in (False, True)]
    assert chosen == [0.3, 0.2]


def test_folds_have_no_test_dialogue(study_corpora: Path, tmp_path: Path) -> None:
    """No test dialogue is in the corpora by which something is chosen."""
    cache = NetworkCache(StudyOptions(study_corpora, tmp_path / "runs", tmp_path / "results", quick=True, set=SETTINGS))
    folds = derive_folds(cache, "iemocap")
    assert folds == {fold: f"iemocap_fold_{fold}" for fold in range(4)}
    for fold, name in folds.items():
        corpus = cache.corpus(name)
        assert corpus.dialogue_names == NAMES[:5]
        assert [corpus.dialogue_names[d] for d in corpus.dialogues_of("validation")] == [NAMES[fold]]
        assert list(corpus.dialogues_of("test")) == [4]  # The official validation dialogue.
    assert (tmp_path / "runs" / "quick" / "corpora" / "iemocap_fold_0.npz").is_file()


def test_too_few_dialogues(tmp_path: Path) -> None:
    """A fold of a single dialogue, which would have to be the test split too, is refused."""
    save_corpus(make_corpus((3,) * 6, ["train"] * 5 + ["test"]), tmp_path / "mosi.npz")
    cache = NetworkCache(StudyOptions(tmp_path, tmp_path / "runs", tmp_path / "results", set=SETTINGS))
    with pytest.raises(InputError, match=r"mosi\.npz: fold \d of the training dialogues has a single dialogue"):
        derive_folds(cache, "mosi")
