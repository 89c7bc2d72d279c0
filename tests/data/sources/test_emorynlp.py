"""EmoryNLP's three files, in sentences of our own."""

import csv
import re
from pathlib import Path

import pytest

from macsgr_jax.data.sources.emorynlp import COLUMNS, FILES, read_emorynlp
from macsgr_jax.errors import InputError
from tests.testing.round_trip import assert_survives

# Sentence, speaker, emotion, season, episode, scene, utterance; not in their order, and numbers are left out.
TURNS = {
    "train": [
        ("The boat leaves at nine.", "['Ann Lee']", "Neutral", 2, 1, 1, 1),
        ('Again, "quickly"!', "['Bob Ray', 'Ann Lee']", "Joyful", 1, 12, 3, 4),
        ("Who took it?", "['Bob Ray']", "Scared", 1, 12, 3, 1),
        ("I did.", "Ann Lee", "Powerful", 1, 12, 3, 2),
    ],
    "dev": [("It's theirs.", "['Cy O\\'Neil']", "Peaceful", 1, 2, 1, 1), ("Oh.", '["Ann Lee"]', "Sad", 1, 2, 1, 10)],
    "test": [("Leave it.", "[]", "Mad", 1, 2, 2, 1)],
}


def write(folder: Path, turns: dict[str, list[tuple[object, ...]]] = TURNS, columns: tuple[str, ...] = COLUMNS) -> Path:
    for name, rows in zip(FILES, turns.values(), strict=True):
        with open(folder / name, "w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, (*columns, "Start_Time"), restval="00:00:01.000")
            writer.writeheader()
            for row in rows:
                values = dict(zip(COLUMNS, row, strict=True))
                writer.writerow({name: values[name] for name in columns})
    return folder


def test_the_release(tmp_path: Path) -> None:
    corpus = read_emorynlp(write(tmp_path)).corpus
    assert corpus.name == "emorynlp" and corpus.features == {}
    assert corpus.dialogue_names == ("s01_e12_c03", "s02_e01_c01", "s01_e02_c01", "s01_e02_c02")
    assert corpus.offsets.tolist() == [0, 3, 4, 6, 7] and corpus.split.tolist() == [0, 0, 1, 2]
    assert corpus.utterance_ids == (
        *("s01_e12_c03_u001", "s01_e12_c03_u002", "s01_e12_c03_u004", "s02_e01_c01_u001"),
        *("s01_e02_c01_u001", "s01_e02_c01_u010", "s01_e02_c02_u001"),
    )
    assert corpus.label_names == ("joyful", "mad", "neutral", "peaceful", "powerful", "sad", "scared")
    assert [corpus.label_names[label] for label in corpus.labels] == [
        *("scared", "powerful", "joyful", "neutral", "peaceful", "sad", "mad"),
    ]
    assert [corpus.speaker_names[speaker] for speaker in corpus.speakers] == [
        *("Bob Ray", "Ann Lee", "Bob Ray and Ann Lee", "Ann Lee", "Cy O'Neil", "Ann Lee", "unknown"),
    ]
    assert corpus.texts is not None and corpus.texts[:3] == ("Who took it?", "I did.", 'Again, "quickly"!')
    assert corpus.notices == ("1 utterances name no speaker (first: utterance s01_e02_c02_u001).",)
    assert_survives(corpus, tmp_path)


ROW = ("Hm.", "['Ann Lee']", "Sad", 1, 12, 3, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({2: "Bored"}, "row 6 has the emotion 'Bored', none of joyful, mad, neutral"),
        ({6: 4}, "row 6 is utterance s01_e12_c03_u004 for the second time"),
        ({4: "12a"}, "row 6 has the Episode '12a', not a number: copy the file again"),
        ({6: ""}, "row 6 has the Utterance_ID '', not a number"),
        ({1: "['Ann Lee'"}, "row 6 has the speaker \"['Ann Lee'\", neither a name nor a list"),
        ({1: "[1]"}, "row 6 has the speaker '[1]', neither a name nor a list"),
        ({1: "[__import__('os').abort()]"}, "row 6 has the speaker \"[__import__('os').abort()]\", neither a name"),
    ],
)
def test_rows_that_cannot_be_understood(changes: dict[int, object], message: str, tmp_path: Path) -> None:
    row = tuple(changes.get(place, value) for place, value in enumerate(ROW))
    with pytest.raises(InputError, match=re.escape(f"{FILES[0]}: {message}")):
        read_emorynlp(write(tmp_path, TURNS | {"train": [*TURNS["train"], row]}))


def test_a_row_that_is_too_short(tmp_path: Path) -> None:
    write(tmp_path)
    with open(tmp_path / FILES[1], "a", encoding="utf-8") as file:
        file.write("Hm.,['Ann Lee'],Sad,1\n")
    with pytest.raises(InputError, match=r"dev_final.csv: row 4 has the Episode '', not a number"):
        read_emorynlp(tmp_path)


def test_a_scene_in_two_splits(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"test_final.csv: the scene s01_e12_c03 is in emorynlp_train_final.csv too"):
        read_emorynlp(write(tmp_path, TURNS | {"test": [ROW]}))


def test_files_that_are_not_emorynlps(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train_final.csv: the column Season is missing; EmoryNLP's files have"):
        read_emorynlp(write(tmp_path, columns=tuple(name for name in COLUMNS if name != "Season")))
    write(tmp_path, TURNS | {"dev": []})
    with pytest.raises(InputError, match=r"dev_final.csv has no row"):
        read_emorynlp(tmp_path)
    write(tmp_path)
    (tmp_path / FILES[2]).unlink()
    with pytest.raises(InputError, match=r"test_final.csv cannot be read \(No such file"):
        read_emorynlp(tmp_path)
    (tmp_path / FILES[0]).write_text((tmp_path / FILES[0]).read_text(encoding="utf-8-sig"), encoding="utf-16")
    with pytest.raises(InputError, match=r"train_final.csv: the column Utterance is missing"):
        read_emorynlp(tmp_path)


def test_a_file_that_is_no_csv(tmp_path: Path) -> None:
    write(tmp_path)
    with open(tmp_path / FILES[0], "a", encoding="utf-8") as file:
        file.write("x" * 200_000)
    with pytest.raises(InputError, match=r"train_final.csv is not a CSV file \(field larger than field limit"):
        read_emorynlp(tmp_path)


def test_letters_that_are_not_utf_8(tmp_path: Path) -> None:
    write(tmp_path)
    place = tmp_path / FILES[0]
    place.write_bytes(place.read_bytes().replace(b"I did.", b"I did\x97yes."))
    corpus = read_emorynlp(tmp_path).corpus
    assert corpus.texts is not None and corpus.texts[1] == "I did\ufffdyes."
    assert "1 texts have letters that are not UTF-8 (first: utterance s01_e12_c03_u002)." in corpus.notices
