"""Each kind of transcript as people hold it: the rows that come out, and the sentences for what cannot be read."""

import json
from pathlib import Path

import pytest

from macsgr_jax.data.transcripts import read_rows
from macsgr_jax.data.transcripts.speaker_names import split_speakers
from macsgr_jax.data.transcripts.times import parse_seconds
from macsgr_jax.errors import InputError

# Speaker, text, start, end.
Rows = list[tuple[str, str, str, str]]
TIMED: Rows = [("Ann", "It rains.", "0", "2.1"), ("Ben", "It does!", "2.35", "4.2")]
UNTIMED: Rows = [(speaker, text, "", "") for speaker, text, *_ in TIMED]
NAMELESS: Rows = [("", text, start, end) for _, text, start, end in TIMED]


def read(folder: Path, name: str, content: str | bytes, notices: list[str] | None = None) -> Rows:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    rows = read_rows(path, notices)
    assert all(row.where.startswith(str(path)) for row in rows)
    return [tuple(row.values[column] for column in ("speaker", "text", "start", "end")) for row in rows]  # type: ignore[misc]


SRT = "1\n00:00:00,000 --> 00:00:02,100\n{a}It rains.\n\n2\n00:00:02,350 --> 00:00:04,200\n{b}It does!\n"
LONG_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4.2
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "Ann"
        xmin = 0
        xmax = 4.2
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 2.1
            text = "It rains."
        intervals [2]:
            xmin = 2.1
            xmax = 4.2
            text = ""
    item [2]:
        class = "IntervalTier"
        name = "Ben"
        xmin = 0
        xmax = 4.2
        intervals: size = 1
        intervals [1]:
            xmin = 2.35
            xmax = 4.2
            text = "It does!"
"""
SHORT_GRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n4.2\n<exists>\n2\n'
    '"IntervalTier"\n"Ann"\n0\n4.2\n1\n0\n2.1\n'
    '"It rains."\n"IntervalTier"\n"Ben"\n0\n4.2\n1\n2.35\n4.2\n"It does!"\n'
)
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"/><TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="2100"/>
<TIME_SLOT TIME_SLOT_ID="t3" TIME_VALUE="2350"/><TIME_SLOT TIME_SLOT_ID="t4" TIME_VALUE="4200"/></TIME_ORDER>
<TIER TIER_ID="Ben"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="t3" TIME_SLOT_REF2="t4">
<ANNOTATION_VALUE>It does!</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="speech-1" PARTICIPANT="Ann"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2">
<ANNOTATION_VALUE>It rains.</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="emotion-Ben" PARENT_REF="Ben"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a2">
<ANNOTATION_VALUE>joy</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="gloss" PARENT_REF="Ben"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a2">
<ANNOTATION_VALUE>x</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>"""
OBJECTS = [{"speaker": s, "text": f" {t}", "start": json.loads(a), "end": json.loads(b)} for s, t, a, b in TIMED]
TABLE = "speaker,text,start,end\nAnn,It rains.,0,2.1\nBen,It does!,2.35,4.2\n"


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.srt", SRT.format(a="[Ann]: ", b="[Ben]: "), TIMED),
        ("a.srt", SRT.format(a="Ann: ", b="Ben: "), TIMED),
        ("a.srt", SRT.format(a="", b=""), NAMELESS),
        ("a.srt", SRT.format(a="<i>", b="{\\an8}").replace("\n", "\r\n"), NAMELESS),
        ("a.srt", SRT.format(a="", b="").replace("\n\n", "\n"), NAMELESS),
        ("a.txt", SRT.format(a="", b=""), NAMELESS),
        (
            "a.vtt",
            "WEBVTT - talk\n\nNOTE made by hand\n\n00:00.000 --> 00:02.100 align:start\n<v Ann>It rains.</v>\n\nid-2\n"
            "00:02.350 --> 00:04.200\n<v.loud Ben>It <b>does</b>!</v>\n",
            TIMED,
        ),
        (
            "a.vtt",
            "WEBVTT\n\n00:00.000 --> 00:02.100\nAnn: It rains.\n\n00:02.350 --> 00:04.200\nBen: It does!\n",
            TIMED,
        ),
        ("a.tsv", "start\tend\ttext\n0\t2100\tIt rains.\n2350\t4200\tIt does!\n", NAMELESS),
        ("a.tsv", "start\tend\ttext\n0\t2.1\tIt rains.\n2.35\t4.2\tIt does!\n", NAMELESS),
        ("a.tsv", 'start\tend\ttext\n0\t2100\t"Rain," she said.\n', [("", '"Rain," she said.', "0", "2.1")]),
        ("a.json", json.dumps({"segments": [one | {"words": [], "id": n} for n, one in enumerate(OBJECTS)]}), TIMED),
        (
            "a.json",
            json.dumps(
                {"segments": [{**one, "speaker": None, "words": [{"speaker": one["speaker"]}]} for one in OBJECTS]}
            ),
            TIMED,
        ),
        (
            "a.json",
            json.dumps({"chunks": [{"text": o["text"], "timestamp": [o["start"], o["end"]]} for o in OBJECTS]}),
            NAMELESS,
        ),
        (
            "a.json",
            json.dumps({"transcription": [{"text": "It rains.", "offsets": {"from": 0, "to": 2100}}]}),
            NAMELESS[:1],
        ),
        ("a.json", json.dumps(OBJECTS), TIMED),
        ("a.json", json.dumps({key: {str(n): one[key] for n, one in enumerate(OBJECTS)} for key in OBJECTS[0]}), TIMED),
        ("a.json", json.dumps({key: [one[key] for one in OBJECTS] for key in OBJECTS[0]}), TIMED),
        ("a.json", "\n".join(map(json.dumps, OBJECTS)), TIMED),
        ("a.jsonl", json.dumps(OBJECTS), TIMED),
        ("a.jsonl", "\n".join(json.dumps(one | {"avg_logprob": -0.2, "words": [1]}) for one in OBJECTS), TIMED),
        ("a.TextGrid", LONG_GRID, TIMED),
        ("a.TextGrid", LONG_GRID.encode("utf-16"), TIMED),
        ("a.textgrid", SHORT_GRID, TIMED),
        (
            "a.textgrid",
            SHORT_GRID.replace("It does!", 'It ""does""!'),
            [TIMED[0], ("Ben", 'It "does"!', "2.35", "4.2")],
        ),
        ("a.eaf", EAF, TIMED),
        ("a.txt", "Ann: It rains.\n\nBen: It does!\n", UNTIMED),
        ("a.txt", "Ann: It\nrains.\nBen: It does!\n", UNTIMED),
        ("a.txt", "It rains.\nIt does!\n", [("", text, "", "") for _, text, *_ in TIMED]),
        (
            "a.txt",
            "[00:00] Ann: It rains.\n[00:02.35] Ben: It does!",
            [("Ann", "It rains.", "00:00", ""), ("Ben", "It does!", "00:02.35", "")],
        ),
        (
            "a.txt",
            "Ann  0:00\nIt rains.\n\nBen (0:02)\nIt does!\n",
            [("Ann", "It rains.", "0:00", ""), ("Ben", "It does!", "0:02", "")],
        ),
        (
            "a.txt",
            "Dr. Ann O'Hara: At 5:30: it rains.\nBen: See https://a.b\n",
            [("Dr. Ann O'Hara", "At 5:30: it rains.", "", ""), ("Ben", "See https://a.b", "", "")],
        ),
        ("a.csv", TABLE, TIMED),
        ("a.csv", TABLE.encode("utf-8-sig"), TIMED),
        ("a.csv", TABLE.encode("utf-16"), TIMED),
        ("a.csv", TABLE.encode("utf-16-le"), TIMED),
        ("a.csv", TABLE.replace(",", ";"), TIMED),
        ("a.csv", TABLE.replace(",", "\t"), TIMED),
        ("a.txt", TABLE.replace(",", "\t"), TIMED),
        (
            "a.csv",
            "sep=;\r\n" + TABLE.replace(",", ";").replace("2.1", "2,1").replace("\n", "\r\n"),
            [("Ann", "It rains.", "0", "2,1"), TIMED[1]],
        ),
        ("a.csv", TABLE.replace("\n", ",,\n") + ",,,,,\n,,,,,\n", TIMED),
        ("a.csv", ",speaker,text,start,end\n0,Ann,It rains.,0,2.1\n1,Ben,It does!,2.35,4.2\n", TIMED),
        ("a.csv", "Unnamed: 0,Speaker,Utterance,Start_Time,End Time,Sr No.\n0,Ann,It rains.,0,2.1,1\n", TIMED[:1]),
        ("a.csv", 'speaker, text\nAnn, "It rains, it does."\n', [("Ann", "It rains, it does.", "", "")]),
        ("a.csv", "speaker,text,start (ms),duration (ms)\nAnn,It rains.,0,2100\nBen,It does!,2350,1850\n", TIMED),
        ("a.csv", "character,dialogue\nAnn,It rains.\nBen,It does!\n", UNTIMED),
        (
            "a.tsv",
            "Tier\tBegin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\tAnnotation\n"
            "Ann\t00:00:00.000\t00:00:02.100\tIt rains.\n",
            [("Ann", "It rains.", "00:00:00.000", "00:00:02.100")],
        ),
    ],
)
def test_a_kind_is_read(name: str, content: str | bytes, rows: Rows, tmp_path: Path) -> None:
    assert read(tmp_path, name, content) == rows


def test_an_emotion_is_read_from_its_tier(tmp_path: Path) -> None:
    notices: list[str] = []
    path = tmp_path / "a.eaf"
    path.write_text(EAF, encoding="utf-8")
    assert [row.values["label"] for row in read_rows(path, notices)] == ["", "joy"]
    assert notices == [f"{path}: tiers that depend on others are not read: gloss."]
    grid = SHORT_GRID.replace("\n2\n", "\n4\n", 1) + (
        '"IntervalTier"\n"Ann - emotion"\n0\n4.2\n1\n0\n2\n"sad"\n'
        '"IntervalTier"\n"Ann - words"\n0\n4.2\n1\n0\n1\n"It"\n'
    )
    path = tmp_path / "a.TextGrid"
    path.write_text(grid, encoding="utf-8")
    assert [row.values["label"] for row in read_rows(path, notices)] == ["sad", ""]
    assert notices[-1] == f"{path}: tiers of words or sounds are not read: Ann - words."


def test_letters_that_are_not_utf8_are_told(tmp_path: Path) -> None:
    notices: list[str] = []
    assert read(tmp_path, "a.csv", "speaker,text\nJosé,Grüße \u2013 ja\n".encode("cp1252"), notices) == [
        ("José", "Grüße \u2013 ja", "", "")
    ]
    assert len(notices) == 1 and "was read as Windows-1252: if letters are wrong, save it as UTF-8" in notices[0]


def test_a_column_that_may_be_misspelled_is_told(tmp_path: Path) -> None:
    notices: list[str] = []
    read(tmp_path, "a.csv", "speeker,text,weather\nAnn,Hm,rain\n", notices)
    assert [one.partition(": ")[2] for one in notices] == [
        "the column 'speeker' is not read; if you mean speaker, call it so."
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.srt", "Ann: It rains.\n", "has no cue, a line with two times and --> between them"),
        ("a.srt", "1\nsoon --> 00:00:02,000\nHm\n", r"row 2: 'soon' is no time: write times as 00:01:02,500 -->"),
        ("a.json", "{", "is not JSON"),
        ("a.json", '{"beam": 5}', "lists no utterances: give a list of objects, or one under the key 'segments'"),
        ("a.json", "[1]", "row 1 is not a JSON object: write one per utterance"),
        ("a.TextGrid", LONG_GRID[:400], "is not a whole TextGrid: save it in Praat"),
        ("a.TextGrid", "hello", "is not a whole TextGrid"),
        ("a.eaf", EAF[:900], "is not XML"),
        ("a.eaf", "<other/>", "is a document other and not ELAN's"),
        ("a.eaf", '<!DOCTYPE a [<!ENTITY b "c">]><ANNOTATION_DOCUMENT/>', "declares entities, which are not read"),
        ("a.rttm", "SPEAKER talk 1 soon 2 <NA> <NA> Ann\n", "row 1 is not RTTM"),
        ("a.rttm", "SPEAKER talk 1\n", r"row 1 is not RTTM \(it has 3 fields\)"),
        ("a.csv", '"one\ntwo",three\n', "no column holds text, clip or start; it has one two, three: name"),
        ("a.csv", b"PK\x03\x04rest", "is an archive or a workbook of Excel: save it as CSV"),
        (
            "a.csv",
            "version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "placeholder of Git LFS .* `git lfs pull`",
        ),
        ("a.csv", "<!DOCTYPE html><html></html>", "is a web page and not the file itself: download that"),
        ("a.csv", b"speaker,text\nAnn,\x00\n", "is not text: give a transcript"),
        ("a.csv", b"\xff\xfes\x00p", "is damaged UTF-16-LE text: save it as UTF-8"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, name, content)
    assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12.5", 12.5),
        ("12,5", 12.5),
        ("1:05", 65),
        ("1:05.5", 65.5),
        ("00:01:05,500", 65.5),
        ("100:00:00.000", 360_000),
        ("2.5 s", 2.5),
        ("250ms", 0.25),
        (".5", 0.5),
        ("1e1", 10),
        ("", None),
        ("NaN", None),
        ("-0.5", -0.5),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["soon", "1:75", "1:60:00", "1:2:3:4", "inf", "1.2.3", "12 o'clock", "1e999"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time|has more than 59"):
        parse_seconds(text)


def test_a_colon_does_not_make_a_speaker() -> None:
    """Where few lines have one, only names in capital letters are names, as in subtitles."""
    texts = ["He said: go.", "Nothing else.", "ANN: Well.", "Really?", "No.", "Oh.", "[S 1]: Yes."]
    assert [one.speaker for one in split_speakers(texts)] == ["", "", "ANN", "", "", "", "S 1"]
    assert [one.text for one in split_speakers(texts)] == [*texts[:2], "Well.", *texts[3:6], "Yes."]
