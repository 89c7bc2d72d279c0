"""Transcript formats: a new one is one file and one row of FORMATS."""

from pathlib import Path

import pytest

from macsgr_jax.data.transcript import read_conversations
from macsgr_jax.data.transcripts import FORMATS, read_rows
from macsgr_jax.data.transcripts.row import COLUMNS, Row, make_row
from macsgr_jax.errors import InputError


def parse_screenplay(path: Path, text: str, notices: list[str]) -> list[Row]:
    """A format as somebody else would write it: SPEAKER: text."""
    lines = [line.partition(": ") for line in text.splitlines()]
    return [make_row({"speaker": a, "text": b}, f"{path}: row {n}") for n, (a, _, b) in enumerate(lines, 1)]


def test_a_row_of_the_table_is_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scene.play"
    path.write_text("ANN: Hello.\nBEN: You are late.\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"scene\.play should end in \.csv, "):
        read_conversations(path)
    monkeypatch.setitem(FORMATS, ".play", parse_screenplay)  # type: ignore[arg-type]
    for found in (read_conversations(path)[0], read_conversations(tmp_path)[0]):
        assert [(one.speaker, one.text, one.where) for one in found.utterances] == [
            ("ANN", "Hello.", f"{path}: row 1, utterance 000"),
            ("BEN", "You are late.", f"{path}: row 2, utterance 001"),
        ]


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".csv", "speaker,text,start\nAnn,Hello.,1.5\n"),
        (".jsonl", '{"speaker": "Ann", "text": "Hello.", "start": 1.5}'),
    ],
)
def test_every_format_makes_the_same_rows(suffix: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"talk{suffix}"
    path.write_text(text, encoding="utf-8")
    (row,) = read_rows(path)
    assert row.values == dict.fromkeys(COLUMNS, "") | {"speaker": "Ann", "text": "Hello.", "start": "1.5"}


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_an_empty_file_of_any_format_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"talk{suffix}"
    path.write_text("speaker,text\n" if suffix == ".csv" else "\n", encoding="utf-8")
    with pytest.raises(InputError, match="is an empty conversation: give one row per utterance"):
        read_rows(path)
