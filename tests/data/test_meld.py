"""MELD's release, in files of our own sentences, and words as features."""

import csv
from pathlib import Path

import numpy as np
import pytest

from experiments.commandline import run_script
from experiments.import_corpus import ImportCorpus, main
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.sources.meld import COLUMNS, FILES, read_meld
from macsgr_jax.errors import InputError
from macsgr_jax.features.words import add_word_features
from tests.corpora import make_corpus

# Speaker, emotion, dialogue, utterance, sentence; not in their order, and with marks of another encoding.
TURNS = {
    "train": [
        ("Ann", "joy", 3, 1, "we won, we won"),
        ("Bob", "neutral", 3, 0, "the letter came"),
        ("Ann", "sadness", 0, 0, "it\x92s raining again"),
    ],
    "dev": [("Cid", "anger", 0, 0, "we waited for the letter")],
    "test": [("Ann", "fear", 0, 0, "qwxyz"), ("Bob", "disgust", 0, 1, "raining\x85 again?")],
}


def write(folder: Path, turns: dict[str, list[tuple[object, ...]]] = TURNS, columns: tuple[str, ...] = COLUMNS) -> Path:
    for name, rows in zip(FILES, turns.values(), strict=True):
        with open(folder / name, "w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, ("Sr No.", *columns))
            writer.writeheader()
            for number, (speaker, emotion, dialogue, utterance, text) in enumerate(rows):
                values = dict(zip(COLUMNS, (text, speaker, emotion, dialogue, utterance), strict=True))
                writer.writerow({"Sr No.": number} | {name: values[name] for name in columns})
    return folder


def test_the_release(tmp_path: Path) -> None:
    corpus = read_meld(write(tmp_path))
    assert corpus.dialogue_names == ("train_dia0", "train_dia3", "validation_dia0", "test_dia0")
    assert corpus.offsets.tolist() == [0, 1, 3, 4, 6] and corpus.split.tolist() == [0, 0, 1, 2]
    assert corpus.texts is not None and corpus.texts[:3] == ("it's raining again", "the letter came", "we won, we won")
    assert [corpus.label_names[label] for label in corpus.labels] == [
        "sadness",
        "neutral",
        "joy",
        "anger",
        "fear",
        "disgust",
    ]
    assert [corpus.speaker_names[speaker] for speaker in corpus.speakers] == ["Ann", "Bob", "Ann", "Cid", "Ann", "Bob"]
    assert corpus.texts[5] == "raining... again?"
    assert corpus.utterance_ids[1] == "train_dia3_utt0"


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        (("Ann", "bored", 3, 2, "hm"), "row 5 has the emotion 'bored', none of neutral"),
        (("Ann", "joy", "x", 2, "hm"), "row 5 has no Dialogue_ID or Utterance_ID"),
        (("Ann", "joy", 3, 1, "hm"), "row 5 is dialogue 3, utterance 1 for the second time"),
    ],
)
def test_rows_that_cannot_be_understood(turn: tuple[object, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"train_sent_emo.csv: {message}"):
        read_meld(write(tmp_path, TURNS | {"train": [*TURNS["train"], turn]}))


def test_files_that_are_not_melds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train_sent_emo.csv: the column Emotion is missing"):
        read_meld(write(tmp_path, columns=("Utterance", "Speaker", "Dialogue_ID", "Utterance_ID")))
    write(tmp_path, TURNS | {"dev": []})
    with pytest.raises(InputError, match=r"dev_sent_emo.csv has no row"):
        read_meld(tmp_path)
    (tmp_path / "test_sent_emo.csv").unlink()
    write(tmp_path)
    (tmp_path / "test_sent_emo.csv").unlink()
    with pytest.raises(InputError, match=r"test_sent_emo.csv cannot be read \(No such file"):
        read_meld(tmp_path)


def test_words_are_learned_from_the_training_split_alone(tmp_path: Path) -> None:
    corpus = add_word_features(read_meld(write(tmp_path)), columns=2)
    values, known = corpus.features["text_lsa"], corpus.measured["text_lsa"]
    assert values.shape == (6, 2) and known[:, 0].tolist() == [True, True, True, True, False, True]
    np.testing.assert_array_equal(values[4], 0)
    other = TURNS | {"test": [("Ann", "fear", 0, 0, "qwxyz qwxyz"), ("Bob", "joy", 0, 1, "raining again?")]}
    again = add_word_features(read_meld(write(tmp_path, other)), columns=2)
    np.testing.assert_array_equal(again.features["text_lsa"], values)


def test_words_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="small has no texts"):
        add_word_features(make_corpus())
    corpus = read_meld(write(tmp_path, TURNS | {"train": [("Ann", "joy", 0, 0, "?")]}))
    with pytest.raises(InputError, match="there is no word in the texts of its training split"):
        add_word_features(corpus)
    with pytest.raises(InputError, match="has the feature set text_lsa already"):
        add_word_features(add_word_features(read_meld(write(tmp_path)), 2))


def test_the_command_makes_a_corpus_to_train_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "meld.npz"
    assert run_script("x", ImportCorpus, main, [str(write(tmp_path)), str(out)]) == 0
    corpus = load_corpus(out)
    assert list(corpus.features) == ["text_lsa"] and corpus.num_utterances == 6
    assert "train: 2 dialogues of 3 utterances" in capsys.readouterr().out
    out.unlink()
    assert run_script("x", ImportCorpus, main, [str(tmp_path), str(out), "--labels", "a,b"]) == 2
    assert "--labels is for pickles" in capsys.readouterr().err and not out.exists()
