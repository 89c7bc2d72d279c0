"""Splitting a corpus and choosing its features."""

from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.data.corpus import UNLABELLED, Corpus, choose_features, hold_out_validation, keep_dialogues
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.errors import InputError
from tests.testing.corpora import make_corpus
from tests.testing.small_corpus import NAN, load_changed, write


def make_trainable(folder: Path, dialogues: int) -> Corpus:
    """Training dialogues of 1, 2, 3... utterances and a test dialogue of two."""
    lengths = [*range(1, dialogues + 1), 2]
    size = sum(lengths)
    arrays = {
        "label": np.zeros(size, int),
        "label_names": np.array(["calm"]),
        "offsets": np.cumsum([0, *lengths]),
        "split": np.repeat([0] * dialogues + [1], lengths),
        "split_names": np.array(["train", "test"]),
        "text_a": np.ones((size, 1), np.float32),
    }
    return load_corpus(write(folder, arrays))


def test_hold_out_moves_whole_dialogues_until_the_share(tmp_path: Path) -> None:
    corpus = make_trainable(tmp_path, 8)
    held = hold_out_validation(corpus, 0.3, seed=1)
    moved = held.dialogues_of("validation")
    order = np.random.default_rng(1).permutation(8)
    assert sorted(order[: len(moved)].tolist()) == moved.tolist()
    assert held.lengths[order[: len(moved) - 1]].sum() < 0.3 * 36 <= held.lengths[moved].sum()
    assert sorted([*held.dialogues_of("train"), *moved]) == list(range(8))
    assert held.dialogues_of("test").tolist() == [8]
    assert f"{len(moved)} of 8 training dialogues ({held.lengths[moved].sum()} of 36 utterances)" in held.notices[-1]
    assert not len(corpus.dialogues_of("validation"))


def test_hold_out_depends_on_the_seed_alone(tmp_path: Path) -> None:
    corpus = make_trainable(tmp_path, 8)
    splits = [hold_out_validation(corpus, 0.3, seed).split.tolist() for seed in (0, 0, 1, 2, 3)]
    assert splits[0] == splits[1]
    assert len({tuple(split) for split in splits}) > 1


@pytest.mark.parametrize(("share", "moved"), [(1e-9, 1), (0.999, 4)])
def test_hold_out_takes_one_and_leaves_one(tmp_path: Path, share: float, moved: int) -> None:
    held = hold_out_validation(make_trainable(tmp_path, 5), share, seed=0)
    assert len(held.dialogues_of("validation")) == moved
    assert len(held.dialogues_of("train")) == 5 - moved


def test_hold_out_leaves_a_validation_split_alone(tmp_path: Path) -> None:
    corpus = load_changed(tmp_path)
    assert hold_out_validation(corpus, 0.5, seed=0) is corpus


def test_hold_out_counts_labels(tmp_path: Path) -> None:
    """Dialogues without a label stay in training, and a split that has to choose or to teach needs some."""
    corpus = make_trainable(tmp_path, 8)
    corpus.labels[corpus.dialogue_of_utterance >= 3] = UNLABELLED
    corpus.labels[0] = UNLABELLED
    held = hold_out_validation(corpus, 0.1, seed=0)
    (moved,) = held.dialogues_of("validation")
    assert moved in (1, 2) and f"1 of 2 training dialogues ({moved + 1} of 5 labels)" in held.notices[-1]
    corpus.labels[held.labelled_of("train")] = UNLABELLED
    with pytest.raises(InputError, match="no utterance of the training split has a label"):
        hold_out_validation(held, 0.1, seed=0)
    corpus.labels[0], corpus.labels[held.utterances_of("validation")] = 0, UNLABELLED
    with pytest.raises(InputError, match="no utterance of the validation split has a label; label some, or leave the"):
        hold_out_validation(held, 0.1, seed=0)


def test_hold_out_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="small: 1 training dialogue is too few to hold one out; mark"):
        hold_out_validation(make_trainable(tmp_path, 1), 0.5, seed=0)
    for share in (0.0, 1.0, NAN):
        with pytest.raises(InputError, match=f"validation_fraction is {share}; it has to be"):
            hold_out_validation(make_trainable(tmp_path, 3), share, seed=0)


def test_choose_features(tmp_path: Path) -> None:
    corpus = load_changed(tmp_path)
    assert choose_features(corpus, ()) == {"audio": ("audio_c",), "text": ("text_a", "text_b")}
    assert choose_features(corpus, ["text_b", "text_a"]) == {"text": ("text_b", "text_a")}
    assert list(choose_features(corpus, ("text_b", "audio_c"))) == ["audio", "text"]
    with pytest.raises(InputError, match=r"'audio_b' \(did you mean audio_c\?\); choose among text_a"):
        choose_features(corpus, ("text_a", "audio_b"))
    with pytest.raises(InputError, match=r"no feature set 'zzz'; choose among"):
        choose_features(corpus, ("zzz",))
    with pytest.raises(InputError, match="text_a is given twice"):
        choose_features(corpus, ("text_a", "text_b", "text_a"))


def test_kept_dialogues_bring_everything_of_theirs() -> None:
    corpus = make_corpus((3, 1, 4, 2), ("train", "validation", "test", "train"))
    kept = keep_dialogues(corpus, np.array([0, 2]))
    rows = [0, 1, 2, 4, 5, 6, 7]
    assert kept.offsets.tolist() == [0, 3, 7] and kept.dialogue_names == ("talk0", "talk2")
    assert kept.split.tolist() == [0, 2] and kept.utterance_ids == tuple(corpus.utterance_ids[row] for row in rows)
    for of_both in ("labels", "speakers"):
        np.testing.assert_array_equal(getattr(kept, of_both), getattr(corpus, of_both)[rows])
    for of_both in ("features", "measured"):
        for name, values in getattr(corpus, of_both).items():
            np.testing.assert_array_equal(getattr(kept, of_both)[name], values[rows])
