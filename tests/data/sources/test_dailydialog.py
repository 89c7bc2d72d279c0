"""DailyDialog's text files and RECCON's JSON, in sentences of our own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.sources.dailydialog import RECCON_FILES, SPLIT_FILES, WHOLE_FILES, read_dailydialog
from macsgr_jax.errors import InputError
from tests.testing.round_trip import assert_survives

TALKS = {
    "train": (
        ("It rains . __eou__ Still ? __eou__ Oh no ! __eou__ ", "0 6 5 "),
        ("Who took it ? __eou__ I did .", "1 4"),
    ),
    "validation": (("We won ! __eou__ ", "4"),),
    "test": (("Look , a bear ! __eou__ Run ! __eou__", "3 3"),),
}
EMOTIONS = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")


def write_lines(folder: Path, names: tuple[str, str], talks: tuple[tuple[str, str], ...]) -> None:
    for name, lines in zip(names, zip(*talks, strict=True), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def name_labels(corpus: Corpus) -> list[str]:
    return [corpus.label_names[label] for label in corpus.labels]


def test_the_release(tmp_path: Path) -> None:
    for split, names in SPLIT_FILES.items():
        write_lines(tmp_path, names, TALKS[split])
    corpus = read_dailydialog(tmp_path).corpus
    assert corpus.name == "dailydialog" and corpus.label_names == EMOTIONS
    assert corpus.dialogue_names == ("train_00000", "train_00001", "validation_00000", "test_00000")
    assert corpus.offsets.tolist() == [0, 3, 5, 6, 8] and corpus.split.tolist() == [0, 0, 1, 2]
    assert name_labels(corpus) == ["neutral", "surprise", "sadness", "anger", "happiness", "happiness", "fear", "fear"]
    assert corpus.texts is not None and corpus.texts[:5] == (
        "It rains .",
        "Still ?",
        "Oh no !",
        "Who took it ?",
        "I did .",
    )
    speakers = [corpus.speaker_names[speaker] for speaker in corpus.speakers]
    assert speakers[:3] == ["train_00000/A", "train_00000/B", "train_00000/A"]
    assert corpus.notices == ("The files name no speakers: two take turns.",)
    assert_survives(corpus, tmp_path)


def test_without_splits_some_dialogues_are_held_out_and_that_is_told(tmp_path: Path) -> None:
    write_lines(tmp_path, WHOLE_FILES, TALKS["train"] * 10)
    corpus = read_dailydialog(tmp_path).corpus
    assert [len(corpus.dialogues_of(split)) for split in ("train", "validation", "test")] == [16, 2, 2]
    np.testing.assert_array_equal(corpus.split, read_dailydialog(tmp_path).corpus.split)
    assert "The files name no splits: 10 % of the dialogues at random are the validation" in corpus.notices[1]


@pytest.mark.parametrize(
    ("talk", "message"),
    [
        (("Hm . __eou__ Hm .", "0"), r"train\.txt, line 3 has 2 utterances and .*train\.txt 1 emotions: copy"),
        (("Hm .", "7"), r"emotion_train\.txt, line 3 has the emotion '7', none of 0 to 6"),
        (("Hm .", ""), r"train\.txt has 3 dialogues and .*emotion_train\.txt 2: copy the files again"),
    ],
)
def test_files_that_contradict_each_other(talk: tuple[str, str], message: str, tmp_path: Path) -> None:
    for split, names in SPLIT_FILES.items():
        write_lines(tmp_path, names, (*TALKS[split], talk) if split == "train" else TALKS[split])
    with pytest.raises(InputError, match=message):
        read_dailydialog(tmp_path)


def write_reccon(folder: Path, **changes: Any) -> Path:
    for number, (name, emotions) in enumerate(
        zip(RECCON_FILES, (("neutral", "happines"), ("", "anger"), ("fear",)), strict=True)
    ):
        turns = [
            {"turn": turn, "speaker": "AB"[turn % 2], "utterance": f" said {turn} ", "emotion": emotion} | changes
            for turn, emotion in enumerate(emotions)
        ]
        (folder / name).write_text(json.dumps({f"tr_{number}": [turns]}), encoding="utf-8")
    return folder


def test_the_files_of_reccon(tmp_path: Path) -> None:
    corpus = read_dailydialog(write_reccon(tmp_path)).corpus
    assert corpus.dialogue_names == ("tr_0", "tr_1", "tr_2") and corpus.split.tolist() == [0, 1, 2]
    assert corpus.label_names == EMOTIONS and corpus.labels.tolist() == [0, 4, -1, 1, 3]
    assert corpus.utterance_ids[1] == "tr_0_1" and corpus.speaker_names[corpus.speakers[1]] == "tr_0/B"
    assert corpus.texts is not None and corpus.texts[0] == "said 0"


def test_what_is_not_dailydialog(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no DailyDialog: give the folder that has train, validation and test"):
        read_dailydialog(tmp_path)
    write_reccon(tmp_path, turn=1)  # The same number twice.
    with pytest.raises(InputError, match="utt_id has 'tr_0_1' at rows 0 and 1"):
        assert_survives(read_dailydialog(tmp_path).corpus, tmp_path)
    for content in ("[]", '{"a": []}', '{"a": [[{"turn": 1}]]}'):
        (tmp_path / RECCON_FILES[1]).write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"valid\.json has not the form of RECCON's files"):
            read_dailydialog(tmp_path)
    (tmp_path / RECCON_FILES[1]).write_text((tmp_path / RECCON_FILES[0]).read_text(), encoding="utf-8")
    with pytest.raises(InputError, match=r"^\S*valid\.json: the dialogue tr_0 is there twice"):
        read_dailydialog(tmp_path)
