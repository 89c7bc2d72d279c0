"""Conversations of one's own: what is understood, and a sentence for what is not."""

import json
from pathlib import Path

import pytest

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.transcript import read_conversations, to_corpus
from macsgr_jax.errors import InputError

HEAD = "speaker,start,end,text"
ROWS = ("Ann,0,1.5,Hello.", "Ben,1.4,2,You are late.", 'Ann,2.5,3,"Well, yes."')


def write(folder: Path, *rows: str, head: str = HEAD, name: str = "talk.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8-sig")
    return path


def test_a_table_without_sound(tmp_path: Path) -> None:
    (conversation,) = read_conversations(write(tmp_path, *ROWS))
    assert conversation.name == "talk"
    assert [(utterance.id, utterance.speaker, utterance.text) for utterance in conversation.utterances] == [
        ("000", "Ann", "Hello."),
        ("001", "Ben", "You are late."),
        ("002", "Ann", "Well, yes."),
    ]
    assert [(utterance.start, utterance.end, utterance.clip) for utterance in conversation.utterances][1] == (
        1.4,
        2.0,
        None,
    )


def test_the_recording_beside_the_table_or_another_one(tmp_path: Path) -> None:
    beside, other = tmp_path / "talk.flac", tmp_path / "other.wav"
    path = write(tmp_path, *ROWS)
    beside.touch(), other.touch()
    assert read_conversations(path)[0].utterances[1].clip == Clip(beside, 1.4, 2.0)
    assert read_conversations(path, other)[0].utterances[1].clip == Clip(other, 1.4, 2.0)


def test_clips_and_json_lines(tmp_path: Path) -> None:
    lines = [{"id": "x", "speaker": "A", "clip": "a.wav", "label": "sad"}, {"speaker": 7, "text": "Hm", "start": None}]
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n", encoding="utf-8")
    first, second = read_conversations(path)[0].utterances
    assert (first.id, first.clip, first.text, first.label) == ("x", Clip(tmp_path / "a.wav"), "", "sad")
    assert (second.id, second.speaker, second.clip, second.start) == ("001", "7", None, None)


def test_a_folder_is_all_its_conversations(tmp_path: Path) -> None:
    write(tmp_path, *ROWS, name="b.csv"), write(tmp_path, *ROWS[:1], name="a.csv")
    (tmp_path / "notes.txt").touch()
    found = read_conversations(tmp_path)
    assert [(one.name, len(one.utterances)) for one in found] == [("a", 1), ("b", 3)]
    corpus = to_corpus(found, ("calm", "sad"))
    assert corpus.offsets.tolist() == [0, 1, 4] and corpus.utterance_ids == ("a_000", "b_000", "b_001", "b_002")
    # Ann of one conversation is not Ann of the other.
    assert corpus.speakers[1] == corpus.speakers[3] and len(set(corpus.speakers.tolist())) == 3


@pytest.mark.parametrize(
    ("head", "rows", "message"),
    [
        ("who,text", ("Ann,Hello",), r"the column speaker is missing \(it has who, text\)"),
        ("speaker,txt", ("Ann,Hello",), r"row 1: the column 'txt' is not known \(did you mean text\?\)"),
        (HEAD, (), "is an empty conversation"),
        (HEAD, (ROWS[0], ",2,3,Hm"), r"row 3, utterance 001: the speaker is empty"),
        (HEAD, ("Ann,2,1,Hm",), "row 2, utterance 000: it ends at 1 s and starts at 2 s"),
        (HEAD, ("Ann,2,,Hm",), "it has a start or an end, and not both"),
        (HEAD, ("Ann,soon,3,Hm",), "its start is 'soon'; it should be seconds"),
        (HEAD, ("Ann,-1,3,Hm",), "its start is '-1'"),
        (HEAD, ("Ann,nan,3,Hm",), "its start is 'nan'"),
        (
            HEAD,
            ("Ann,5,6,Hm", "Ben,4,5,Ho"),
            "row 3, utterance 001: it starts at 4 s, before utterance 000 above",
        ),
        (HEAD, ("Ann,5,6,Hm", "Ann,5.5,7,Ho"), "it overlaps utterance 000, by the same speaker, which ends at 6 s"),
        (HEAD, ("Ann,5,6,",), "there is neither text nor audio"),
        (HEAD, ("Ann,5,6,Well, yes",), "row 2 has 5 columns, and the header 4: quote texts"),
        (HEAD, ("Ann,0,9,Hm", "Ben,1,2,Ho", "Ann,5,10,Hm"), "row 4, utterance 002: it overlaps utterance 000, by the"),
        (HEAD, ("Ann,5,6,Hm", "Ben,,,Ho", "Cy,0,1,Hm"), "row 4, utterance 002: it starts at 0 s, before utterance 000"),
        ("id,speaker,text", ("a,Ann,Hm", "a,Ben,Ho"), r"row 3: the id 'a' is that of .*talk\.csv: row 2 too"),
        ("id,speaker,text", ("001,Ann,Hm", ",Ben,Ho"), "row 3: the id '001' is that of"),
        ("speaker;text", ("Ann;Hm",), r"\(it has speaker;text\): separate columns by commas, not by semicolons"),
        ("speaker,text,text", ("Ann,Hm,Ho",), "row 1: the column text is there twice"),
        ("speaker,text", ('Ann,"Hm', "Ben,Ho"), r"row 3 is not CSV \(.*\): close the quotation marks"),
        ("speaker,text", (f"Ann,{'m' * 200_000}",), r"row 2 is not CSV \(field larger than"),
    ],
)
def test_tables_that_cannot_be_understood(head: str, rows: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"talk\.csv.*{message}"):
        read_conversations(write(tmp_path, *rows, head=head))


def test_files_that_are_no_conversations(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv cannot be read \(No such file"):
        read_conversations(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="holds no conversation"):
        read_conversations(tmp_path)
    with pytest.raises(InputError, match=r"should end in \.csv or \.jsonl"):
        read_conversations(write(tmp_path, *ROWS, name="talk.txt"))
    (tmp_path / "talk.jsonl").write_text('{"speaker": "A", "text": "Hm"}\nnot json\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"talk\.jsonl: row 2 is not JSON"):
        read_conversations(tmp_path / "talk.jsonl")
    (tmp_path / "talk.jsonl").write_text("[1]\n", encoding="utf-8")
    with pytest.raises(InputError, match="row 1 is not a JSON object"):
        read_conversations(tmp_path / "talk.jsonl")
    for damaged, message in (
        ("[" * 100_000, r"is not JSON \(maximum recursion depth"),
        ('{"speaker": "A", "text": ["Hm"]}', r'its text is \["Hm"\]: give text or a number'),
        ('{"speaker": true, "text": "Hm"}', "its speaker is true"),
        ('{"speaker": "A", "text": "\\ud800"}', "its text holds half of a letter"),
        ('{"speaker": "A", "words": "Hm"}', "row 1: the column 'words' is not known"),
    ):
        (tmp_path / "talk.jsonl").write_text(damaged, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_conversations(tmp_path / "talk.jsonl")
    (tmp_path / "latin.csv").write_bytes("speaker,text\nAnn,Gr\xfc\xdfe\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.csv is not UTF-8"):
        read_conversations(tmp_path / "latin.csv")
    with pytest.raises(InputError, match=r"the recording .*gone\.wav does not exist"):
        read_conversations(write(tmp_path, *ROWS), tmp_path / "gone.wav")
    with pytest.raises(InputError, match="is for one conversation"):
        read_conversations(tmp_path, tmp_path / "talk.csv")


def test_what_only_looks_like_the_end_of_a_line_is_text(tmp_path: Path) -> None:
    (tmp_path / "talk.jsonl").write_text('{"speaker": "A", "text": "one\u2028two\x85three"}\r\n', encoding="utf-8")
    assert read_conversations(tmp_path / "talk.jsonl")[0].utterances[0].text == "one\u2028two\x85three"


def test_two_conversations_of_one_name_are_told(tmp_path: Path) -> None:
    write(tmp_path, *ROWS)
    (tmp_path / "talk.jsonl").write_text('{"speaker": "A", "text": "Hm"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"has talk\.csv and talk\.jsonl: give each conversation a name of its own"):
        read_conversations(tmp_path)


def test_sound_without_times_cannot_be_found(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").touch()
    with pytest.raises(InputError, match=r"row 2, utterance 000: it has no start and end, so it cannot be found in"):
        read_conversations(write(tmp_path, "Ann,Hm", head="speaker,text"))
