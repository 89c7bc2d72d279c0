"""MELD's release, in files of our own sentences, and words as features."""

import csv
import struct
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.cli.common import run_script
from macsgr_jax.cli.import_corpus import ImportCorpus, main
from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.sources.meld import COLUMNS, FILES, VIDEOS, find_meld_clips, read_meld
from macsgr_jax.errors import InputError
from macsgr_jax.features.registry import TEXT_LSA, add_features
from tests.testing.corpora import make_corpus
from tests.testing.round_trip import assert_survives

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
    corpus = read_meld(write(tmp_path)).corpus
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


def test_letters_that_are_not_utf_8(tmp_path: Path) -> None:
    assert read_meld(write(tmp_path)).corpus.notices == ()
    place = tmp_path / FILES[0]
    place.write_bytes(place.read_bytes().replace(b"the letter", b"the l\xe9tter"))
    corpus = read_meld(tmp_path).corpus
    assert corpus.texts is not None and corpus.texts[1] == "the l\ufffdtter came"
    assert corpus.notices == ("1 texts have letters that are not UTF-8 (first: utterance train_dia3_utt0).",)


def write_videos(folder: Path, names: dict[str, list[str]]) -> None:
    for place, videos in names.items():
        (folder / place).mkdir(parents=True)
        for video in videos:
            (folder / place / f"{video}.mp4").touch()


def test_videos(tmp_path: Path) -> None:
    corpus = read_meld(write(tmp_path)).corpus
    write_videos(
        tmp_path,
        {
            "train/train_splits": ["dia0_utt0", "dia3_utt1", "._dia3_utt0", "dia7_utt7"],
            "__MACOSX/train/train_splits": ["dia3_utt0"],
            "dev_splits_complete": ["dia0_utt0"],
            "a/b/output_repeated_splits_test": ["final_videos_testdia0_utt0", "dia0_utt1"],
        },
    )
    found, clips = find_meld_clips(corpus, tmp_path)
    assert clips == (
        Clip(tmp_path / "train" / "train_splits" / "dia0_utt0.mp4", 0.0, None),
        None,
        Clip(tmp_path / "train" / "train_splits" / "dia3_utt1.mp4"),
        Clip(tmp_path / "dev_splits_complete" / "dia0_utt0.mp4"),
        None,
        Clip(tmp_path / "a" / "b" / "output_repeated_splits_test" / "dia0_utt1.mp4"),
    )
    assert found.utterance_ids[1] == "train_dia3_utt0" and found.utterance_ids[4] == "test_dia0_utt0"
    assert found.notices == ("2 of 6 utterances have no video (first: utterance train_dia3_utt0).",)
    assert corpus.notices == ()
    assert_survives(found, tmp_path)


def test_videos_that_are_damaged_are_not_used(tmp_path: Path) -> None:
    turns = {
        "train": [("Ann", "joy", 125, 3, "we won"), ("Ann", "joy", 110, 7, "again")],
        "dev": [("Bob", "anger", 110, 7, "no"), ("Bob", "anger", 125, 3, "no, no")],
        "test": [("Cid", "fear", 125, 3, "hm")],
    }
    corpus = read_meld(write(tmp_path, turns)).corpus
    write_videos(tmp_path, {place: ["dia125_utt3", "dia110_utt7"] for place in VIDEOS})
    found, clips = find_meld_clips(corpus, tmp_path)
    kept = ["train_dia110_utt7", "validation_dia125_utt3", "test_dia125_utt3"]
    assert [name for name, clip in zip(found.utterance_ids, clips, strict=True) if clip] == kept
    damaged = "train_dia125_utt3 and validation_dia110_utt7"
    assert found.notices == (f"The videos of {damaged} are damaged in MELD's release and not used.",)


def make_video(seconds: float, version: int = 0) -> bytes:
    """An MP4 file without any sample: what stands before the headers, and the headers with the length."""
    units = round(1000 * seconds)
    content = struct.pack(">B3x16xIQ", 1, 1000, units) if version else struct.pack(">B3x8xII", 0, 1000, units)
    header = struct.pack(">I4s", 8 + len(content), b"mvhd") + content
    samples = struct.pack(">I4sQ", 1, b"mdat", 16 + 40) + bytes(40)
    return samples + struct.pack(">I4s", 8 + len(header), b"moov") + header


def test_videos_that_are_too_long_are_cut_or_not_used(tmp_path: Path) -> None:
    """By the times of the CSV files, two of which are minutes apart in the release."""
    columns = (*COLUMNS, "StartTime", "EndTime")
    times = {0: ("00:00:01,000", "00:00:03,500"), 1: ("00:01:44,270", "00:05:39,338"), 2: ("?", "")}
    for name in FILES:
        with open(tmp_path / name, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(["it rains", "Ann", "joy", 0, number, *times[number]] for number in times)
    videos = {"train_splits": (2.6, 235.0, 3.0), "dev_splits_complete": (90.0, 3.0, 90.0)}
    for place, lengths in videos.items():
        (tmp_path / place).mkdir()
        for number, seconds in enumerate(lengths):
            (tmp_path / place / f"dia0_utt{number}.mp4").write_bytes(make_video(seconds, version=number % 2))
    (tmp_path / VIDEOS[2]).mkdir()
    for number, content in enumerate((b"", make_video(90.0)[:70], b"\0\0\0\0mdat" + bytes(90))):
        (tmp_path / VIDEOS[2] / f"dia0_utt{number}.mp4").write_bytes(content)
    found, clips = find_meld_clips(read_meld(tmp_path).corpus, tmp_path)
    assert [None if clip is None else clip.end or "whole" for clip in clips] == [
        *("whole", None, "whole"),
        *(2.5, "whole", None),
        *("whole", "whole", "whole"),
    ]
    assert found.notices == (
        "1 videos go on after their utterance, by its times, and are cut (first: validation_dia0_utt0).",
        "2 videos are longer than 60 s, the times of their utterances do not say where they are spoken, and the audio"
        " is not used (first: train_dia0_utt1).",
    )


def test_videos_that_are_not_there(tmp_path: Path) -> None:
    corpus = read_meld(write(tmp_path)).corpus
    with pytest.raises(InputError, match="has none of the folders train_splits, dev_splits_complete, output_repeated"):
        find_meld_clips(corpus, tmp_path)
    (tmp_path / "dev_splits_complete").mkdir()
    found, clips = find_meld_clips(corpus, tmp_path)
    assert clips == (None,) * 6
    assert found.notices == ("6 of 6 utterances have no video (first: utterance train_dia0_utt0).",)
    with pytest.raises(InputError, match=r"small: the utterance .* is not MELD's: import its CSV files first"):
        find_meld_clips(make_corpus(), tmp_path)


def test_words_are_learned_from_the_training_split_alone(tmp_path: Path) -> None:
    corpus = add_features(read_meld(write(tmp_path)).corpus, (), [TEXT_LSA], columns=2)
    values, known = corpus.features["text_lsa"], corpus.measured["text_lsa"]
    assert values.shape == (6, 2) and known[:, 0].tolist() == [True, True, True, True, False, True]
    np.testing.assert_array_equal(values[4], 0)
    other = TURNS | {"test": [("Ann", "fear", 0, 0, "qwxyz qwxyz"), ("Bob", "joy", 0, 1, "raining again?")]}
    again = add_features(read_meld(write(tmp_path, other)).corpus, (), [TEXT_LSA], columns=2)
    np.testing.assert_array_equal(again.features["text_lsa"], values)
    assert corpus.notices[-1] == "text_lsa: 1 of 6 utterances: no word that it knows"


def test_words_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="small has no texts: text_lsa needs them"):
        add_features(make_corpus(), (), [TEXT_LSA])
    corpus = read_meld(write(tmp_path, TURNS | {"train": [("Ann", "joy", 0, 0, "?")]})).corpus
    with pytest.raises(InputError, match="there is no word in the texts of the training split"):
        add_features(corpus, (), [TEXT_LSA])
    with pytest.raises(InputError, match="has the feature set text_lsa already"):
        add_features(add_features(read_meld(write(tmp_path)).corpus, (), [TEXT_LSA], columns=2), (), [TEXT_LSA])
    with pytest.raises(InputError, match="meld comes without audio: audio_egemaps needs it"):
        add_features(read_meld(write(tmp_path)).corpus, (), ["audio_egemaps"])


def test_the_command_makes_a_corpus_to_train_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "meld.npz"
    assert run_script("x", ImportCorpus, main, ["meld", str(write(tmp_path)), str(out)]) == 0
    corpus = load_corpus(out)
    assert list(corpus.features) == ["text_lsa"] and corpus.num_utterances == 6
    assert corpus.extractors["text_lsa"].description["kind"] == "words"
    assert "train: 2 dialogues of 3 utterances" in capsys.readouterr().out
    out.unlink()
    assert run_script("x", ImportCorpus, main, ["meld", str(tmp_path), str(out), "--labels", "a,b"]) == 2
    assert "labels is for pickle, not for meld" in capsys.readouterr().err and not out.exists()
