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
        (
            "who,txt",
            ("Ann,Hello",),
            r"no column holds text, clip or start \(did you mean text by 'txt'\?\); it has who, txt",
        ),
        (HEAD, (), "is an empty conversation"),
        (HEAD, ("Ann,5,6,Well, yes",), "row 2 has 5 columns, and the header 4: quote texts"),
        ("speaker,text,text", ("Ann,Hm,Ho",), "row 1: the column text is there twice"),
        ("speaker,text", ('Ann,"Hm', "Ben,Ho"), r"row 3 is not CSV \(.*\): close the quotation marks"),
        ("speaker,text", (f"Ann,{'m' * 200_000}",), r"row 2 is not CSV \(field larger than"),
        (
            "Hello,there",
            ("Ann,Hm",),
            "no column holds text, clip or start; it has Hello, there: name the columns in the",
        ),
    ],
)
def test_tables_that_cannot_be_understood(head: str, rows: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"talk\.csv.*{message}"):
        read_conversations(write(tmp_path, *rows, head=head))


@pytest.mark.parametrize(
    ("head", "rows", "message", "note"),
    [
        (
            HEAD,
            (ROWS[0], ",2,3,Hm"),
            "row 3, utterance 001: the speaker is empty",
            "1 without a speaker (they count as",
        ),
        (HEAD, ("Ann,2,1,Hm",), "row 2, utterance 000: it ends at 1 s and starts at 2 s", "1 with an end before the"),
        (HEAD, ("Ann,2,2,Hm",), "row 2, utterance 000: it ends at 2 s and starts at 2 s", "1 with an end at the start"),
        (HEAD, ("Ann,2,,Hm",), "it has a start or an end, and not both", "1 with a start and no end (each ends where"),
        (HEAD, ("Ann,,2,Hm",), "it has an end and no start: give both", "1 with an end and no start (it is not used)"),
        (
            HEAD,
            ("Ann,soon,3,Hm",),
            "its start is 'soon'; it should be seconds",
            "1 with a time that cannot be understood",
        ),
        (HEAD, ("Ann,-1,3,Hm",), "its start is '-1'", "1 with a time that cannot be understood"),
        (
            HEAD,
            ("Ann,5,6,Hm", "Ben,4,5,Ho"),
            "row 3, utterance 001: it starts at 4 s, before utterance 000 above",
            "1 below one that starts later (sorted by start)",
        ),
        (
            HEAD,
            ("Ann,5,6,Hm", "Ann,5.5,7,Ho"),
            "it overlaps utterance 000, by the same speaker, which ends at 6 s",
            "1 that overlap with one of the same speaker (kept as they are)",
        ),
        (HEAD, ("Ann,5,6,",), "there is neither text nor audio", "1 without text and audio"),
        (
            HEAD,
            ("Ann,0,9,Hm", "Ben,1,2,Ho", "Ann,5,10,Hm"),
            "row 4, utterance 002: it overlaps utterance 000, by the",
            "1 that overlap",
        ),
        (
            HEAD,
            ("Ann,5,6,Hm", "Ben,,,Ho", "Cy,0,1,Hm"),
            "row 4, utterance 002: it starts at 0 s, before utterance 000",
            "1 below one that starts later",
        ),
        (
            "id,speaker,text",
            ("a,Ann,Hm", "a,Ben,Ho"),
            r"row 3: the id 'a' is that of .*talk\.csv: row 2 too",
            "1 with the id of another one (named by their row)",
        ),
        (
            "id,speaker,text",
            ("001,Ann,Hm", ",Ben,Ho"),
            "row 3: the id '001' is that of",
            "1 with the id of another one",
        ),
        (
            "id,speaker,text,start,end",
            ("1,Ann,Hm,5,6", "2,Ben,Ho,4,5"),
            "row 3, utterance 2: it starts at 4 s, before utterance 1",
            "1 below one that starts later but has a smaller number",
        ),
    ],
)
def test_faults_are_counted_or_refused(
    head: str, rows: tuple[str, ...], message: str, note: str, tmp_path: Path
) -> None:
    """What can be repaired is told in one note; --strict refuses it in the words of the fault."""
    path = write(tmp_path, *rows, head=head)
    with pytest.raises(InputError, match=rf"talk\.csv.*{message}"):
        read_conversations(path, strict=True)
    notices: list[str] = []
    (conversation,) = read_conversations(path, on_notice=notices.append)
    assert len(conversation.utterances) == len(rows)
    assert len({utterance.id for utterance in conversation.utterances}) == len(rows)
    assert len(notices) == 1 and note in notices[0]


def test_what_is_done_about_times(tmp_path: Path) -> None:
    """A time is used where it can be trusted; an utterance without one keeps its place and its text."""
    (tmp_path / "talk.wav").touch()
    path = write(
        tmp_path,
        *("Ann,0,1,right", "Ben,9.92,4.2,backwards", "Ann,1.5,1.5,empty", "Ben,2,,open", "Ann,,,none", "Ben,8,9,late"),
        *("Ann,3,4,early", "Ben,soon,5,odd", "Ann,9,,last"),
    )
    notices: list[str] = []
    utterances = read_conversations(path, on_notice=notices.append)[0].utterances
    found = {one.text: (one.start, one.end, one.clip and (one.clip.start, one.clip.end)) for one in utterances}
    assert found == {
        "right": (0, 1, (0, 1)),
        "backwards": (None, None, None),
        "empty": (1.5, 1.5, None),
        "open": (2, 3, (2, 3)),
        "none": (None, None, None),
        "early": (3, 4, (3, 4)),
        "odd": (None, None, None),
        "late": (8, 9, (8, 9)),
        "last": (9, None, (9, None)),
    }
    assert list(found) == ["right", "backwards", "empty", "open", "none", "early", "odd", "late", "last"]
    (note,) = notices
    parts = [part.strip() for part in note.partition(": ")[2].split(";")]
    assert [int(part.split()[0]) for part in parts] == [1, 1, 1, 2, 1, 1, 3]
    with pytest.raises(InputError, match=r"^10 faults: ") as caught:
        read_conversations(path, strict=True)
    assert str(caught.value).count("talk.csv: row") == 10


def test_overlapping_speech_of_two_people_is_no_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "Ann,0,9,Hm", "Ben,1,2,Ho", "Cy,1,3,Hm", "Ben,2,3,No")
    notices: list[str] = []
    assert len(read_conversations(path, strict=True, on_notice=notices.append)[0].utterances) == 4 and not notices


def test_files_that_are_no_conversations(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv cannot be read \(No such file"):
        read_conversations(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="holds no conversation"):
        read_conversations(tmp_path)
    with pytest.raises(InputError, match=r"should end in \.csv, .*\.rttm or \.txt: give the transcript"):
        read_conversations(write(tmp_path, *ROWS, name="talk.doc"))
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
    ):
        (tmp_path / "talk.jsonl").write_text(damaged, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_conversations(tmp_path / "talk.jsonl")
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


def test_a_recording_without_times_is_not_used(tmp_path: Path) -> None:
    """The texts are predicted all the same; --strict refuses."""
    (tmp_path / "talk.wav").touch()
    path = write(tmp_path, "Ann,Hm", "Ben,Ho", head="speaker,text")
    notices: list[str] = []
    assert [one.clip for one in read_conversations(path, on_notice=notices.append)[0].utterances] == [None, None]
    assert len(notices) == 1 and "2 without times (the recording is not used for them)" in notices[0]
    with pytest.raises(InputError, match=r"row 2, utterance 000: it has no start and end, so it cannot be found in"):
        read_conversations(path, strict=True)


@pytest.mark.parametrize("name", ["talk.WAV", "Talk.mp3", "talk.opus", "TALK.Mov", "talk.3gp"])
def test_recordings_are_found_whatever_their_case(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert read_conversations(write(tmp_path, *ROWS))[0].utterances[1].clip == Clip(tmp_path / name, 1.4, 2.0)
    (tmp_path / "talk.en.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHm\n", encoding="utf-8")
    assert read_conversations(tmp_path / "talk.en.srt")[0].utterances[0].clip == Clip(tmp_path / name, 0, 1)


def test_a_file_that_several_utterances_name_is_their_recording(tmp_path: Path) -> None:
    """Otherwise each would get the features of the whole file."""
    head = "speaker,text,start,end,audio"
    path = write(tmp_path, "Ann,Hm,0,1,call.wav", "Ben,Ho,1,2,call.wav", "Ann,So,2,3,own.wav", head=head)
    call, own = tmp_path / "call.wav", tmp_path / "own.wav"
    clips = [one.clip for one in read_conversations(path)[0].utterances]
    assert clips == [Clip(call, 0, 1), Clip(call, 1, 2), Clip(own)]


def test_a_table_holds_many_conversations(tmp_path: Path) -> None:
    (tmp_path / "two.wav").touch()
    rows = ("one,Ann,Hm,0,1", "two,Ann,Ho,0,1", "one,Ben,Yes,1,2")
    path = write(tmp_path, *rows, head="Dialogue_ID,Speaker,Utterance,StartTime,EndTime")
    one, two = read_conversations(path)
    assert (one.name, two.name) == ("talk_one", "talk_two")
    assert [utterance.text for utterance in one.utterances] == ["Hm", "Yes"]
    assert one.utterances[0].clip is None and two.utterances[0].clip == Clip(tmp_path / "two.wav", 0, 1)
    with pytest.raises(InputError, match=r"--recording .* is for one conversation, and .*talk\.csv holds 2: leave it"):
        read_conversations(path, tmp_path / "two.wav")
    # A scene has a number of its own in each episode.
    rows = ("1,1,1,Ann,Hm", "1,2,1,Ann,Ho", "1,1,2,Ann,Yes")
    path = write(tmp_path, *rows, head="Season,Episode,Scene_ID,Speaker,Utterance")
    assert [one.name for one in read_conversations(path)] == ["talk_1_1_1", "talk_1_2_1", "talk_1_1_2"]


def test_the_files_that_whisper_writes_side_by_side_are_one_conversation(tmp_path: Path) -> None:
    (tmp_path / "talk.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHm\n", encoding="utf-8")
    (tmp_path / "talk.txt").write_text("Hm\n", encoding="utf-8")
    (tmp_path / "talk.json").write_text('{"segments": [{"start": 0, "end": 1, "text": " Hm"}]}', encoding="utf-8")
    (tmp_path / "settings.json").write_text('{"beam": 5}', encoding="utf-8")
    notices: list[str] = []
    (conversation,) = read_conversations(tmp_path, on_notice=notices.append)
    assert conversation.name == "talk" and conversation.utterances[0].start == 0
    assert any("talk.json is read, and not talk.srt, talk.txt of the same name" in one for one in notices)
    assert any("settings.json is left out, as it is no transcript" in one for one in notices)


def test_speakers_of_a_diarisation_beside_the_text(tmp_path: Path) -> None:
    lines = ("SPEAKER talk 1 0.00 2.10 <NA> <NA> Ann <NA> <NA>", "SPEAKER talk 1 2.35 1.85 <NA> <NA> Ben <NA> <NA>")
    (tmp_path / "talk.rttm").write_text("\n".join(lines), encoding="utf-8")
    (alone,) = read_conversations(tmp_path / "talk.rttm")
    assert [(one.speaker, one.text, one.start, one.end) for one in alone.utterances] == [
        ("Ann", "", 0, 2.1),
        ("Ben", "", 2.35, 4.2),
    ]
    text = tmp_path / "talk.txt"
    text.write_text("It rains.\nIt does.\n", encoding="utf-8")
    for path in (text, tmp_path / "talk.rttm", tmp_path):
        (conversation,) = read_conversations(path)
        assert [(one.speaker, one.text, one.start) for one in conversation.utterances] == [
            ("Ann", "It rains.", 0),
            ("Ben", "It does.", 2.35),
        ]
    text.write_text("It rains.\n", encoding="utf-8")
    notices: list[str] = []
    assert read_conversations(text, on_notice=notices.append)[0].utterances[0].speaker == "unknown"
    assert "has 2 segments for 1 texts without times, and is not used" in notices[0]
    text.unlink()
    srt = tmp_path / "talk.srt"
    srt.write_text("1\n00:00:00,100 --> 00:00:02,500\nA\n\n2\n00:00:02,000 --> 00:00:04,000\nB\n", encoding="utf-8")
    assert [one.speaker for one in read_conversations(srt)[0].utterances] == ["Ann", "Ben"]


def test_a_folder_of_many_files_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        write(tmp_path, *ROWS, name=f"talk{number}.csv")
        (tmp_path / f"talk{number}.wav").touch()
    listed = []
    monkeypatch.setattr(Path, "iterdir", lambda path, list_files=Path.iterdir: listed.append(path) or list_files(path))
    assert len(read_conversations(tmp_path)) == 30 and len(listed) == 1


MELD = Path(__file__).parents[3] / "shared" / "data" / "meld_csv"


@pytest.mark.skipif(not MELD.is_dir(), reason="MELD's CSV files are not at hand")
def test_all_of_meld_is_accepted() -> None:
    notices: list[str] = []
    conversations = read_conversations(MELD, on_notice=notices.append)
    assert len(conversations) == 1432 and sum(len(one.utterances) for one in conversations) == 13_708
    assert all(utterance.start is not None for one in conversations for utterance in one.utterances)
    (note,) = notices
    counts = [int(part.split()[0]) for part in note.partition(": ")[2].split("; ")]
    assert counts == [1, 41, 239]  # Empty spans, starts before the one above, overlaps of one speaker.
