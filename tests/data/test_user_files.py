"""Files as people have them, each with the utterances that come out and the repairs that are counted."""

from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.data.dialogue import Utterance
from macsgr_jax.data.repairs import Repairs
from macsgr_jax.data.transcript import read_conversations
from macsgr_jax.errors import InputError
from macsgr_jax.features import opensmile as speech
from macsgr_jax.features.channels import assign_channels
from tests.testing.sounds import RATE, make_tone, write_sound

Expected = tuple[tuple[object, ...], ...]
PLAIN: Expected = (("Ann", "The boat is late."), ("Bob", "Again!"))
TIMED: Expected = (("Ann", "The boat is late.", 1.0, 2.5), ("Bob", "Again!", 3.0, 4.25))

# Name of the file, its content, speaker, text and perhaps times of each utterance, and the faults that are counted.
CASES: dict[str, tuple[str, str | bytes, Expected, dict[str, int]]] = {
    "an array of objects": (
        "a.json",
        '[{"speaker":"Ann","text":"The boat is late."},{"speaker":"Bob","text":"Again!"}]',
        PLAIN,
        {},
    ),
    "headers in capitals": ("a.csv", "Speaker,Text\nAnn,The boat is late.\nBob,Again!\n", PLAIN, {}),
    "headers of MELD": ("a.csv", "Speaker,Utterance\nAnn,The boat is late.\nBob,Again!\n", PLAIN, {}),
    "decimal commas": (
        "a.csv",
        'speaker,text,start,end\nAnn,The boat is late.,"1,0","2,5"\nBob,Again!,"3,0","4,25"\n',
        TIMED,
        {},
    ),
    "times as H:M:S": (
        "a.csv",
        "speaker,text,start,end\nAnn,The boat is late.,00:00:01.000,00:00:02.500\n"
        "Bob,Again!,00:00:03.000,00:00:04.250\n",
        TIMED,
        {},
    ),
    "times of SubRip": (
        "a.csv",
        'speaker,text,start,end\nAnn,The boat is late.,"00:00:01,000","00:00:02,500"\nBob,Again!,"00:00:03,000",'
        '"00:00:04,250"\n',
        TIMED,
        {},
    ),
    "times as M:S": ("a.csv", "speaker,text,start,end\nAnn,Hm,1:05,1:10\n", (("Ann", "Hm", 65.0, 70.0),), {}),
    "no speaker in any row": (
        "a.csv",
        "speaker,text\n,Hm\n,Oh\n",
        (("unknown", "Hm"), ("unknown", "Oh")),
        {"no speaker": 2},
    ),
    "no column speaker": ("a.csv", "text\nHm\n", (("unknown", "Hm"),), {"no speaker": 1}),
    "a row without text": (
        "a.csv",
        "speaker,text\nAnn,Hm\nBob,\n",
        (("Ann", "Hm"), ("Bob", "")),
        {"no text": 1},
    ),
    "empty columns of Excel": ("a.csv", "speaker,text,,\nAnn,The boat is late.,,\nBob,Again!,,\n", PLAIN, {}),
    "empty rows of Excel": ("a.csv", "speaker,text\nAnn,The boat is late.\nBob,Again!\n,\n,\n", PLAIN, {}),
    "the separator of Excel": ("a.csv", "sep=;\nspeaker;text\nAnn;The boat is late.\nBob;Again!\n", PLAIN, {}),
    "semicolons, and a mark of UTF-8": (
        "a.csv",
        "\ufeffspeaker;text\r\nAnn;The boat is late.\r\nBob;Again!\r\n",
        PLAIN,
        {},
    ),
    "tabs": ("a.csv", "speaker\ttext\nAnn\tThe boat is late.\nBob\tAgain!\n", PLAIN, {}),
    "spaces after commas": ("a.csv", "speaker, text\nAnn, The boat is late.\nBob, Again!\n", PLAIN, {}),
    "the index of pandas": ("a.csv", ",speaker,text\n0,Ann,The boat is late.\n1,Bob,Again!\n", PLAIN, {}),
    "Latin letters": ("a.csv", "speaker,text\nJosé,Hm\n".encode("latin-1"), (("José", "Hm"),), {}),
    "UTF-16": ("a.csv", "speaker,text\nAnn,Hm\n".encode("utf-16"), (("Ann", "Hm"),), {}),
    "nulls": (
        "a.jsonl",
        '{"speaker":"Ann","text":"Hm","start":null,"end":null}\n{"speaker":"Bob","text":null}\n',
        (("Ann", "Hm", None, None), ("Bob", "")),
        {"no text": 1},
    ),
    "an overlap of one speaker": (
        "a.csv",
        "id,speaker,text,start,end\n1,Ann,Hm,1,3\n2,Ann,wait,2.5,4\n3,Bob,no,2,4\n",
        (("Ann", "Hm", 1.0, 3.0), ("Ann", "wait", 2.5, 4.0), ("Bob", "no", 2.0, 4.0)),
        {"out of order": 1, "overlap": 1},
    ),
    "an empty span": (
        "a.csv",
        "speaker,text,start,end\nAnn,Hm,1,1\nBob,wait,2.5,4\n",
        (("Ann", "Hm"), ("Bob", "wait", 2.5, 4.0)),
        {"empty": 1},
    ),
    "an end before the start": (
        "a.jsonl",
        '{"speaker":"A","text":"Hm","start":0.0,"end":2.1}\n{"speaker":"A","text":"Oh","start":9.92,"end":4.2}\n',
        (("A", "Hm", 0.0, 2.1), ("A", "Oh", None, None)),
        {"backwards": 1},
    ),
    "starts alone": (
        "a.jsonl",
        '{"speaker":"A","text":"Hm","start":0.0}\n{"speaker":"B","text":"Oh","start":2.4}\n',
        (("A", "Hm", 0.0, 2.4), ("B", "Oh", 2.4)),
        {"no end": 2},
    ),
    "not sorted": (
        "a.jsonl",
        '{"speaker":"A","text":"late","start":5.0,"end":6.1}\n{"speaker":"B","text":"early","start":2.4,"end":4.2}\n',
        (("B", "early", 2.4, 4.2), ("A", "late", 5.0, 6.1)),
        {"unsorted": 1},
    ),
    "an overlap of 20 ms": (
        "a.jsonl",
        '{"speaker":"A","text":"Hm","start":0.0,"end":2.12}\n{"speaker":"A","text":"Oh","start":2.10,"end":4.2}\n',
        (("A", "Hm", 0.0, 2.12), ("A", "Oh", 2.1, 4.2)),
        {"overlap": 1},
    ),
    "further keys": (
        "a.jsonl",
        '{"speaker":"A","text":"Hm","start":0.0,"end":2.1,"words":[],"avg_logprob":-0.2}\n',
        (("A", "Hm", 0.0, 2.1),),
        {},
    ),
}


def describe(utterance: Utterance, wanted: tuple[object, ...]) -> tuple[object, ...]:
    return (utterance.speaker, utterance.text, utterance.start, utterance.end)[: len(wanted)]


@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_its_utterances_and_its_repairs(name: str, tmp_path: Path) -> None:
    file, content, expected, faults = CASES[name]
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    repairs = Repairs()
    (conversation,) = read_conversations(tmp_path / file, repairs=repairs)
    found = [describe(one, wanted) for one, wanted in zip(conversation.utterances, expected, strict=True)]
    assert found == list(expected) and repairs.count() == faults
    told: list[str] = []
    if faults:  # Refused where it is strict, each fault with its row; and otherwise one sentence.
        with pytest.raises(InputError, match=str(tmp_path / file)) as caught:
            read_conversations(tmp_path / file, strict=True)
        assert str(caught.value).count(f"{tmp_path / file}: ") >= sum(faults.values())
        read_conversations(tmp_path / file, on_notice=told.append)
        assert sum(one.startswith("Utterances that were repaired or lack something") for one in told) == 1
    else:
        read_conversations(tmp_path / file, strict=True)


def test_a_call_with_a_speaker_per_channel_has_the_features_of_the_mono_recording(tmp_path: Path) -> None:
    pytest.importorskip("opensmile")
    tones = [make_tone(0.8, hertz) for hertz in (130, 200, 150, 240)]
    size = len(tones[0])
    mono = np.concatenate(tones)
    call = np.zeros((len(mono), 2), np.float32)
    rows = ["speaker,start,end,text"]
    for turn in range(len(tones)):
        call[turn * size : (turn + 1) * size, turn % 2] = tones[turn]
        rows.append(f"{('Ann', 'Ben')[turn % 2]},{turn * size / RATE},{(turn + 1) * size / RATE},hm")
    values = []
    for name, samples in (("call", call), ("mono", mono)):
        write_sound(tmp_path / f"{name}.wav", samples)
        (tmp_path / f"{name}.csv").write_text("\n".join(rows), encoding="utf-8")
        (conversation,) = read_conversations(tmp_path / f"{name}.csv")
        speakers = [utterance.speaker for utterance in conversation.utterances]
        assigned = assign_channels([utterance.clip for utterance in conversation.utterances], speakers)
        assert len(assigned.notices) == (1 if name == "call" else 0)
        extracted = speech.extract_speech(speech.describe_speech("audio_egemaps"), assigned.clips, cache=tmp_path)
        assert extracted.measured.all()
        values.append(extracted.values)
    np.testing.assert_allclose(values[0], values[1], atol=1e-4)
