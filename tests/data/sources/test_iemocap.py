"""IEMOCAP's release, in files of our own sentences; the sound files are empty, since none is opened."""

import re
from pathlib import Path
from typing import Literal

import pytest

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.sources.iemocap import read_iemocap
from macsgr_jax.errors import InputError
from tests.testing.round_trip import assert_survives

# Dialogue -> annotations (utterance, start, end, emotion), in the release by speaker and not in order of time.
ANNOTATIONS = {
    "Ses01F_impro02": [
        ("F000", 1.5, 2.5, "exc"),
        ("F001", 6.0, 7.25, "fru"),
        ("F002", 9.0, 9.5, "xxx"),
        ("M000", 0.25, 1.75, "neu"),
        ("M001", 6.0, 8.0, "sad"),
    ],
    "Ses01M_impro01": [("M000", 0, 1, "hap")],
    "Ses02F_impro01": [("F000", 0.5, 1.0, "fru"), ("M000", 2.0, 3.0, "sur")],
    "Ses03F_impro05a": [("F000", 10.0, 11.0, "ang")],
    "Ses04M_script01_1": [("M000", 3.0, 4.0, "sad")],
    "Ses05M_script01_1b": [("F000", 1.0, 2.0, "dis"), ("F001", 3.0, 4.0, "neu")],
}
TRANSCRIPTIONS = {
    "Ses01F_impro02": [
        "Ses01F_impro02_M000 [000.2500-001.7500]: The kettle is on.",
        "Ses01F_impro02_F000 [001.5000-002.5000]:  Tea at last!  ",
        "Ses01F_impro02_MXX0 [003.0000-003.5000]: [LAUGHTER]",
        "F: well",
        "",
        "Ses01F_impro02_M001 [006.0000-008.0000]: We have no milk: none.",
        "Ses01F_impro02_F001 [006.0000-007.2500]: Again?",
        "Ses01F_impro02_F002 [009.0000-009.5000]: Hm.",
    ],
    "Ses01M_impro01": ["Ses01M_impro01_M000 [000.0000-001.0000]: It stopped raining."],
    "Ses02F_impro01": [
        "Ses02F_impro01_F000 [000.5000-001.0000]: The door is stuck.",
        "Ses02F_impro01_M000 [002.0000-003.0000]: Is it?",
    ],
    "Ses03F_impro05a": ["Ses03F_impro05a_F000 [010.0000-011.0000]: Give it back."],
    "Ses04M_script01_1": ["Ses04M_script01_1_M000 [003.0000-004.0000]: The garden is empty."],
    "Ses05M_script01_1b": [
        "Ses05M_script01_1b_F000 [001.0000-002.0000]: Mould.",
        "Ses05M_script01_1b_F001 [003.0000-004.0000]: It is Tuesday.",
    ],
}
SILENT = "Ses03F_impro05a_F000"


def dialog(folder: Path, dialogue: str) -> Path:
    return folder / f"Session{dialogue[4]}" / "dialog"


def write(folder: Path) -> Path:
    """The release; one utterance has no sound file."""
    for dialogue, annotations in ANNOTATIONS.items():
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        sounds = folder / f"Session{dialogue[4]}" / "sentences" / "wav" / dialogue
        sounds.mkdir(parents=True)
        for name, start, end, emotion in annotations:
            lines.append(f"[{start:.4f} - {end:.4f}]\t{dialogue}_{name}\t{emotion}\t[2.5000, 2.5000, 2.5000]")
            lines += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
            if f"{dialogue}_{name}" != SILENT:
                (sounds / f"{dialogue}_{name}.wav").touch()
        for inside, content in (("EmoEvaluation", lines), ("transcriptions", TRANSCRIPTIONS[dialogue])):
            place = dialog(folder, dialogue) / inside
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{dialogue}.txt").write_text("\n".join(content) + "\n", encoding="utf-8")
            (place / f"._{dialogue}.txt").write_bytes(b"\x00\x05\x16\x07")  # As a Mac leaves them.
    return folder


def append(folder: Path, inside: str, dialogue: str, line: str, encoding: str = "utf-8") -> None:
    with open(dialog(folder, dialogue) / inside / f"{dialogue}.txt", "a", encoding=encoding) as file:
        file.write(line + "\n")


def name_labels(corpus: Corpus) -> list[str]:
    return [corpus.label_names[label] for label in corpus.labels]


def test_six_emotions(tmp_path: Path) -> None:
    corpus, clips, *_ = read_iemocap(write(tmp_path))
    assert corpus.dialogue_names == tuple(sorted(ANNOTATIONS)) and corpus.name == "iemocap"
    assert corpus.offsets.tolist() == [0, 4, 5, 6, 7, 8, 9]
    assert corpus.split.tolist() == [0, 1, 0, 0, 0, 2]
    # M001 and F001 begin together, and stay as they are transcribed.
    assert corpus.utterance_ids == (
        "Ses01F_impro02_M000",
        "Ses01F_impro02_F000",
        "Ses01F_impro02_M001",
        "Ses01F_impro02_F001",
        "Ses01M_impro01_M000",
        "Ses02F_impro01_F000",
        "Ses03F_impro05a_F000",
        "Ses04M_script01_1_M000",
        "Ses05M_script01_1b_F001",
    )
    assert corpus.label_names == ("happy", "sad", "neutral", "angry", "excited", "frustrated")
    assert name_labels(corpus) == [
        *("neutral", "excited", "sad", "frustrated", "happy", "frustrated", "angry", "sad", "neutral"),
    ]
    assert corpus.speaker_names == ("M", "F") and corpus.speakers.tolist() == [0, 1, 0, 1, 0, 1, 1, 0, 1]
    assert corpus.texts is not None and corpus.texts[:4] == (
        "The kettle is on.",
        "Tea at last!",
        "We have no milk: none.",
        "Again?",
    )
    assert corpus.texts[-1] == "It is Tuesday."
    assert len(clips) == 9 and clips[6] is None
    sound = tmp_path / "Session1" / "sentences" / "wav" / "Ses01F_impro02" / "Ses01F_impro02_F000.wav"
    assert clips[1] == Clip(sound, 0.0, None)
    assert_survives(corpus, tmp_path)


def test_notices(tmp_path: Path) -> None:
    corpus = read_iemocap(write(tmp_path)).corpus
    assert corpus.notices == (
        "11 of the 12 validation dialogues are not there (first: Ses01M_script03_1).",
        "6 of IEMOCAP's 151 dialogues are there.",
        "3 utterances have other emotions and are left out: 1 sur, 1 dis, 1 xxx.",
        "Left out: 1 lines of a transcription without an id and times.",
        "Left out: 1 sounds between the utterances.",
        f"1 of 9 utterances have no audio file (first: utterance {SILENT}).",
    )


def test_four_emotions(tmp_path: Path) -> None:
    corpus, clips, *_ = read_iemocap(write(tmp_path), emotions="4")
    assert corpus.label_names == ("happy", "sad", "neutral", "angry")
    assert name_labels(corpus) == ["neutral", "happy", "sad", "happy", "angry", "sad", "neutral"]
    assert "Ses02F_impro01" not in corpus.dialogue_names and len(clips) == 7
    assert corpus.split.tolist() == [0, 1, 0, 0, 2]
    assert "Without an utterance of the chosen emotions, so left out: Ses02F_impro01." in corpus.notices
    assert "5 utterances have other emotions and are left out: 2 fru, 1 sur, 1 dis, 1 xxx." in corpus.notices
    assert_survives(corpus, tmp_path)


@pytest.mark.parametrize("labels", ["6", "4"])
def test_the_folder_above_the_release(tmp_path: Path, labels: Literal["6", "4"]) -> None:
    write(tmp_path / "IEMOCAP_full_release")
    above, inside = (read_iemocap(one, labels) for one in (tmp_path, tmp_path / "IEMOCAP_full_release"))
    assert above[0].sha256 == inside[0].sha256 and above[1] == inside[1]


def test_the_sum_changes_with_the_sentences(tmp_path: Path) -> None:
    before = read_iemocap(write(tmp_path)).corpus.sha256
    append(tmp_path, "transcriptions", "Ses05M_script01_1b", "M: no")
    assert read_iemocap(tmp_path).corpus.sha256 != before


def test_missing_sessions_and_files(tmp_path: Path) -> None:
    write(tmp_path / "a")
    for session in ("Session2", "Session5"):
        (tmp_path / "a" / session).rename(tmp_path / session)
    with pytest.raises(InputError, match="a has no Session2, Session5: give the folder IEMOCAP_full_release"):
        read_iemocap(tmp_path / "a")
    write(tmp_path / "b")
    (tmp_path / "b" / "Session4" / "dialog" / "transcriptions" / "Ses04M_script01_1.txt").unlink()
    with pytest.raises(InputError, match=r"transcriptions/Ses04M_script01_1.txt cannot be read \(No such file"):
        read_iemocap(tmp_path / "b")
    (tmp_path / "b" / "Session4" / "dialog" / "EmoEvaluation" / "Ses04M_script01_1.txt").unlink()
    with pytest.raises(InputError, match=r"EmoEvaluation has no annotations, Ses04\*.txt"):
        read_iemocap(tmp_path / "b")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[6.0 - 7.0]\tSes02F_impro01_F001\tjoy\t[2.5, 2.5, 2.5]", "has the emotion 'joy', none of hap, sad"),
        (
            "[6.0 - 7.0]\tSes02F_impro01_F000\tsad\t[2.5, 2.5, 2.5]",
            "has the utterance Ses02F_impro01_F000 for the second time",
        ),
        (
            "[6.0 - 7.0]\tSes02F_impro02_F000\tsad\t[2.5, 2.5, 2.5]",
            "has the utterance 'Ses02F_impro02_F000', not of this dialogue",
        ),
        (
            "[6.0 - 7.0]\tSes02F_impro01_F00\tsad\t[2.5, 2.5, 2.5]",
            "has the utterance 'Ses02F_impro01_F00', not of this dialogue",
        ),
        ("[6.0 - 7.0]\tSes02F_impro01_F001", "is not [start - end], id, emotion, [values]"),
        ("[6.0 - nan]\tSes02F_impro01_F001\tsad\t[2.5, 2.5, 2.5]", "is not [start - end], id, emotion, [values]"),
    ],
)
def test_annotations_that_cannot_be_understood(line: str, message: str, tmp_path: Path) -> None:
    write(tmp_path)
    append(tmp_path, "EmoEvaluation", "Ses02F_impro01", line)
    with pytest.raises(InputError, match=re.escape(f"EmoEvaluation/Ses02F_impro01.txt: line 11 {message}")):
        read_iemocap(tmp_path)


def test_an_utterance_of_two_texts(tmp_path: Path) -> None:
    write(tmp_path)
    append(tmp_path, "transcriptions", "Ses03F_impro05a", TRANSCRIPTIONS["Ses03F_impro05a"][0])
    assert read_iemocap(tmp_path).corpus.num_utterances == 9
    append(tmp_path, "transcriptions", "Ses03F_impro05a", "Ses03F_impro05a_F000 [010.0000-011.0000]: Keep it.")
    with pytest.raises(InputError, match=r"Ses03F_impro05a.txt: line 3 has another text of Ses03F_impro05a_F000"):
        read_iemocap(tmp_path)


def test_an_utterance_without_a_text(tmp_path: Path) -> None:
    write(tmp_path)
    (dialog(tmp_path, "Ses03F") / "transcriptions" / "Ses03F_impro05a.txt").write_text("F: no\n", encoding="utf-8")
    corpus = read_iemocap(tmp_path).corpus
    assert corpus.texts is not None and corpus.texts[6] == ""
    assert "1 utterances are not transcribed (first: utterance Ses03F_impro05a_F000)." in corpus.notices


def test_letters_that_are_not_utf_8(tmp_path: Path) -> None:
    write(tmp_path)
    place = dialog(tmp_path, "Ses03F") / "transcriptions" / "Ses03F_impro05a.txt"
    place.write_bytes(b"Ses03F_impro05a_F000 [010.0000-011.0000]: Two caf\xe9s.\r\n")
    corpus = read_iemocap(tmp_path).corpus
    assert corpus.texts is not None and corpus.texts[6] == "Two caf\ufffds."
    assert "1 texts have letters that are not UTF-8 (first: utterance Ses03F_impro05a_F000)." in corpus.notices


def test_files_of_another_encoding_have_no_utterance(tmp_path: Path) -> None:
    write(tmp_path)
    for path in tmp_path.glob("Session*/dialog/EmoEvaluation/Ses*.txt"):
        path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")
    with pytest.raises(InputError, match="has no utterance with one of the 6 emotions: copy the release again"):
        read_iemocap(tmp_path)
