"""From a table and a recording to emotions, at once and as it happens; and a sentence for what cannot be."""

import csv
import dataclasses
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.errors import InputError
from macsgr_jax.features.registry import add_features
from macsgr_jax.overrides import override
from macsgr_jax.presets import CAUSAL
from macsgr_jax.runs.load import load_model
from macsgr_jax.runs.predict import predict_stream
from macsgr_jax.runs.train import train_and_evaluate
from tests.testing.corpora import TINY, compile_quickly, make_corpus
from tests.testing.sounds import make_tone, write_sound

pytest.importorskip("opensmile")
WORDS = ("rain", "came", "nobody", "letter", "coast", "again", "waited", "garden")
SAID = ("nobody came", "the letter came again", "rain", "", "we waited", "zebra")
TIMES = ((0.0, 0.5), (0.5, 1.0), (1.2, 1.7), (1.8, 2.3), (2.3, 2.8), (2.8, 2.83))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny causal network that has seen words and tones for one epoch."""
    folder = tmp_path_factory.mktemp("model")
    corpus = dataclasses.replace(make_corpus(), features={}, measured={})
    random = np.random.default_rng(0)
    texts = tuple(" ".join(random.choice(WORDS, 3)) for _ in range(corpus.num_utterances))
    tones = [write_sound(folder / f"{label}.wav", make_tone(0.3, 100 + 80 * label)) for label in range(3)]
    clips = [Clip(tones[label]) for label in corpus.labels]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        corpus = add_features(dataclasses.replace(corpus, texts=texts), clips, ("text_lsa", "audio_egemaps"), columns=4)
    save_corpus(corpus, folder / "corpus.npz")
    settings = (*TINY, "train.dialogues_per_step=4", "train.epochs=1")
    with compile_quickly():
        train_and_evaluate(override(CAUSAL, settings), load_corpus(folder / "corpus.npz"), (0, 1), folder / "run")
    return folder / "run"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A conversation of SAID with a recording beside it, the fourth utterance silent, the last one too short."""
    samples = np.concatenate([make_tone(0.5 + 0.001 * k, 100 + 30 * k) for k in range(6)])
    samples[int(1.75 * 16_000) : int(2.3 * 16_000)] = 0
    write_sound(tmp_path / "talk.wav", samples)
    return write_table(tmp_path / "talk.csv", SAID, TIMES)


def write_table(path: Path, said: tuple[str, ...], times: tuple[tuple[float, float], ...]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["speaker", "start", "end", "text", "label"])
        for row, (text, (start, end)) in enumerate(zip(said, times, strict=True)):
            writer.writerow(["AB"[row % 2], start, end, text, "glad" if row == 0 else ""])
    return path


def say(monkeypatch: pytest.MonkeyPatch, lines: str, encoding: str = "utf-8") -> None:
    """Have it come from standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode(encoding))))


def predict(*arguments: object) -> int:
    with compile_quickly():
        return main(["predict", *map(str, arguments)])


def test_every_utterance_is_answered_with_what_it_rests_on(
    model: Path, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "said.jsonl"
    assert predict(talk, "--model", model, "--out", out) == 0
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [record["text"] for record in records] == [
        "nobody came",
        "the letter came again",
        "rain",
        None,
        "we waited",
        "zebra",
    ]
    assert [record["available"]["audio"] for record in records] == [True, True, True, False, True, False]
    assert [record["available"]["text"] for record in records] == [True, True, True, False, True, False]
    for record in records:
        assert list(record["probabilities"]) == ["calm", "glad", "sad"]
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert record["emotion"] == max(record["probabilities"], key=record["probabilities"].get)
        there = sum(record["available"].values())
        assert sum(record["weights"].values()) == pytest.approx(1 if there else 0, abs=1e-5)
        assert 0 <= record["uncertainty"] <= 1
        assert all("past" in edge["relation"] for edge in record["edges"])  # The network is causal.
    assert records[2]["edges"][0] == records[2]["edges"][0] | {"utterance": "000", "relation": "same speaker, past"}
    assert records[0]["label"] == "glad" and "label" not in records[1]
    printed = capsys.readouterr().out
    assert "1 of 6 utterances: silence" in printed and "1 of 6 utterances: shorter than 60 ms" in printed
    assert "2 of 6 utterances: no word that it knows" in printed and f"wrote {out}: 6 utterances" in printed


def test_probabilities_are_those_that_were_written_for_the_test_split(model: Path, tmp_path: Path) -> None:
    """The way from sentences and sounds to features is the same as in the corpus; so are the answers, but for heat."""
    corpus = load_corpus(model.parent / "corpus.npz")
    dialogue = corpus.dialogues_of("test")[0]
    rows = range(corpus.offsets[dialogue], corpus.offsets[dialogue + 1])
    with open(tmp_path / "test.jsonl", "w", encoding="utf-8") as file:
        for row in rows:
            assert corpus.texts is not None
            clip = str(model.parent / f"{corpus.labels[row]}.wav")
            file.write(
                json.dumps({"speaker": int(corpus.speakers[row]), "text": corpus.texts[row], "clip": clip}) + "\n"
            )
    out = tmp_path / "said.jsonl"
    assert (
        predict(tmp_path / "test.jsonl", "--model", model, "--out", out, "--seed", 1) == 2
    )  # Its clips lie elsewhere.
    assert predict(tmp_path / "test.jsonl", "--model", model, "--out", out, "--seed", 1, "--allow-outside") == 0
    said = [json.loads(line)["probabilities"] for line in out.read_text(encoding="utf-8").splitlines()]
    heat = json.loads((model / "checkpoints/full/temperatures.json").read_text(encoding="utf-8"))["1"]
    with open(model / "predictions.csv", encoding="utf-8") as file:
        written = {line["utterance_id"]: line for line in csv.DictReader(file) if line["seed"] == "1"}
    for row, probabilities in zip(rows, said, strict=True):
        line = written[corpus.utterance_ids[row]]
        cold = np.array([float(line[f"p_{label}"]) for label in corpus.label_names]) ** (1 / heat)
        np.testing.assert_allclose(list(probabilities.values()), cold / cold.sum(), atol=1e-4)


def test_following_says_the_same_line_by_line(
    model: Path, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "said.jsonl"
    assert predict(talk, "--model", model, "--out", out) == 0
    lines = [
        json.dumps({"speaker": "AB"[row % 2], "text": text, "start": start, "end": end})
        for row, (text, (start, end)) in enumerate(zip(SAID, TIMES, strict=True))
    ]
    say(monkeypatch, "\n".join(lines) + "\n\n")
    capsys.readouterr()
    assert predict("--follow", "--model", model, "--recording", talk.with_suffix(".wav")) == 0
    printed = capsys.readouterr()
    assert "note: utterance 003: speech: 1 of 1 utterances: silence" in printed.err
    heard = [json.loads(line) for line in printed.out.splitlines()]
    batch = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    for one, other in zip(heard, batch, strict=True):
        assert one["utterance"] == other["utterance"] and one["available"] == other["available"]
        for part in ("probabilities", "weights"):
            np.testing.assert_allclose(list(one[part].values()), list(other[part].values()), atol=1e-5)
        assert [edge["utterance"] for edge in one["edges"]] == [edge["utterance"] for edge in other["edges"]]
        assert one["uncertainty"] == pytest.approx(other["uncertainty"], abs=1e-5)


def test_a_conversation_of_three_hours_is_answered(model: Path, tmp_path: Path) -> None:
    said = tuple(" ".join((WORDS[k % 8], WORDS[k % 7])) for k in range(3600))
    path = write_table(tmp_path / "long.csv", said, tuple((3.0 * k, 3.0 * k + 2) for k in range(3600)))
    out = tmp_path / "said.jsonl"
    assert predict(path, "--model", model, "--out", out, "--seed", 0, "--samples", 1) == 0
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(records) == 3600 and records[-1]["utterance"] == "3599"
    assert records[-1]["edges"][-1]["utterance"] == "3598"
    assert not records[0]["available"]["audio"]


Spoil = Callable[[Path, Path], list[str]]


def change_description(model: Path, folder: Path, old: str, new: str) -> list[str]:
    shutil.copytree(model, folder / "changed")
    path = folder / "changed" / "checkpoints" / "full" / "description.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return ["--model", str(folder / "changed")]


def change_extractors(model: Path, folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> list[str]:
    shutil.copytree(model, folder / "changed")
    path = folder / "changed" / "checkpoints" / "full" / "extractors.npz"
    with np.load(path) as arrays:
        changed = dict(arrays)
    change(changed)
    np.savez(path, **changed)  # type: ignore[arg-type]
    return [str(folder / "talk.csv"), "--model", str(folder / "changed")]


def describe_speech(**settings: str) -> dict[str, np.ndarray]:
    return {"extractor_audio_egemaps": np.array(json.dumps({"kind": "opensmile"} | settings))}


BAD: dict[str, tuple[Spoil, str]] = {
    "late": (
        lambda model, folder: [str(write_table(folder / "talk.csv", SAID, (*TIMES[:5], (2.8, 9)))), "--strict"],
        "talk.csv: row 7, utterance 005: it ends at 9.00 s, but",
    ),
    "label": (
        lambda model, folder: [
            str(folder / "talk.csv"),
            "--strict",
            *change_description(model, folder, '"glad"', '"jolly"'),
        ],
        "row 2, utterance 000: labels that are none of the network's calm, jolly, sad: 1 glad",
    ),
    "no model": (
        lambda model, folder: [str(folder / "talk.csv"), "--model", "/gone"],
        "/gone is not the folder of a run",
    ),
    "another version": (
        lambda model, folder: [str(folder / "talk.csv"), *change_description(model, folder, '"max_hops"', '"hops"')],
        "was trained by version 0.2.0 of macsgr_jax (the stored configuration does not fit",
    ),
    "other weights": (
        lambda model, folder: [
            str(folder / "talk.csv"),
            *change_description(model, folder, '"num_prototypes": 6', '"num_prototypes": 9'),
        ],
        "was trained by version 0.2.0 of macsgr_jax (its weights prototypes are (6, 8), and here (9, 8))",
    ),
    "another extractor": (
        lambda model, folder: change_extractors(
            model,
            folder,
            lambda arrays: arrays.update(describe_speech(set="eGeMAPSv02", rate="16000", opensmile="1.0.0")),
        ),
        "the feature set audio_egemaps was made with opensmile 1.0.0, and here is",
    ),
    "part of an extractor": (
        lambda model, folder: change_extractors(model, folder, lambda arrays: arrays.pop("extractor_text_lsa/terms")),
        "how the feature set text_lsa was made lacks terms",
    ),
    "settings of an extractor": (
        lambda model, folder: change_extractors(model, folder, lambda arrays: arrays.update(describe_speech())),
        "how the feature set audio_egemaps was made lacks opensmile",
    ),
    "no extractor": (
        lambda model, folder: change_extractors(model, folder, dict.clear),
        "does not say how its feature set",
    ),
    "seed": (
        lambda model, folder: [str(folder / "talk.csv"), "--seed", "7"],
        "holds no checkpoint of seed 7: it has 0, 1",
    ),
    "no folder": (
        lambda model, folder: [str(folder / "talk.csv"), "--out", str(folder / "gone" / "said.jsonl")],
        "said.jsonl cannot be written: there is no folder",
    ),
    "ending": (
        lambda model, folder: [str(folder / "talk.csv"), "--out", str(folder / "said.txt")],
        "said.txt should end in .jsonl, .json, .csv, .html or .parquet, which decides its form",
    ),
    "channels": (
        lambda model, folder: [str(folder / "talk.csv"), "--channels", "Ann"],
        "--channels Ann: give auto, mix, speaker, or each speaker's channel",
    ),
    "both": (lambda model, folder: [str(folder / "talk.csv"), "--follow"], "give one of them: a conversation, or"),
    "neither": (lambda model, folder: [], "give one of them: a conversation, or"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(
    case: str, model: Path, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, message = BAD[case]
    out = tmp_path / "said.jsonl"
    arguments = spoil(model, tmp_path)
    given = arguments if "--model" in arguments else [*arguments, "--model", str(model)]
    assert predict(*given, *([] if {"--follow", "--out"} & {*given} else ["--out", out])) == 2
    printed = capsys.readouterr().err
    assert printed.count("error: ") == 1 and message in printed and not out.exists()


def test_a_network_that_looks_ahead_cannot_follow(model: Path) -> None:
    with compile_quickly():
        loaded = load_model(model, context=16, samples=1, seed=0)
    ahead = dataclasses.replace(loaded.config, model=dataclasses.replace(loaded.config.model, causal=False))
    with pytest.raises(InputError, match="looks ahead in the conversation: train one with --preset causal"):
        next(predict_stream(loaded._replace(config=ahead), []))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("rain", "standard input: line 2 is not JSON"),
        ('{"speaker": "A", "text": "Gr\xfc\xdfe"}', "standard input: line 2 is not UTF-8 text"),
        ('{"id": "000", "speaker": "A", "text": "rain"}', "line 2: the id '000' is that of standard input: line 1 too"),
        ("[1]", "standard input: line 2 is not a JSON object"),
    ],
)
def test_a_line_that_cannot_be_understood_is_answered_with_an_error(
    bad: str, message: str, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversation goes on as if the line had not been there."""
    good = ['{"speaker": "A", "text": "rain", "confidence": 1}', '{"speaker": "B", "text": "we waited"}']
    say(monkeypatch, "\n".join(good))
    assert predict("--follow", "--model", model, "--seed", 0) == 0
    wanted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    say(monkeypatch, "\n".join([good[0], bad, "", good[1]]), "latin-1")
    assert predict("--follow", "--model", model, "--seed", 0) == 0
    first, error, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first, second) == tuple(wanted)
    assert set(error) == {"error", "line"} and error["line"] == 2 and message in error["error"]


def test_a_conversation_goes_on_in_another_call(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --state, two calls print what one call would, ids and speakers included."""
    lines = [json.dumps({"speaker": "AB"[row % 2], "text": text}) for row, text in enumerate(SAID)]
    arguments = ("--follow", "--model", model, "--seed", 0)
    say(monkeypatch, "\n".join(lines))
    assert predict(*arguments) == 0
    expected = capsys.readouterr().out
    for part in (lines[:2], lines[2:]):
        say(monkeypatch, "\n".join(part))
        assert predict(*arguments, "--state", tmp_path / "talk.npz") == 0
    assert capsys.readouterr().out == expected
    say(monkeypatch, json.dumps({"id": "001", "speaker": "A", "text": "rain"}))
    assert predict(*arguments, "--state", tmp_path / "talk.npz") == 0
    assert "is that of an utterance of an earlier call" in json.loads(capsys.readouterr().out)["error"]
    say(monkeypatch, "")
    assert predict(*arguments, "--state", tmp_path / "talk.npz", "--samples", 3) == 2
    assert "with another --context or --samples" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--recording", "/gone.wav"), "the recording /gone.wav does not exist"),
        (("--out", "said.jsonl"), "--out is not for --follow"),
    ],
)
def test_options_that_do_not_fit_following(
    options: tuple[str, ...],
    message: str,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    say(monkeypatch, "")
    assert predict("--follow", "--model", model, *options) == 2
    printed = capsys.readouterr()
    assert printed.err.count("error: ") == 1 and message in printed.err and not printed.out


def test_following_repairs_what_it_can_and_says_so(
    model: Path, talk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ('{"speaker": "A", "start": 90, "end": 91, "label": "angry"}', '{"text": "rain", "start": 1, "end": 1}')
    say(monkeypatch, "\n".join(lines))
    arguments = ("--follow", "--model", model, "--recording", talk.with_suffix(".wav"), "--seed", 0)
    assert predict(*arguments) == 0
    printed = capsys.readouterr()
    records = [json.loads(line) for line in printed.out.splitlines()]
    assert [record["available"]["audio"] for record in records] == [False, False] and "label" not in records[0]
    for part in ("and 1 that begin later have no audio", "none of the network's calm, glad, sad: 1 angry"):
        assert "note: utterance 000: " in printed.err and part in printed.err
    assert "1 without a speaker" in printed.err and "1 with an end at the start" in printed.err
    say(monkeypatch, "\n".join(lines))
    assert predict(*arguments, "--strict") == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["line"] for answer in answers] == [1, 2] and answers[1]["error"].startswith("2 faults: ")


def test_what_does_not_need_the_audio_is_predicted_without_it(
    model: Path, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A transcript that ends late, labels in another spelling, and a video without sound."""
    write_table(talk, SAID, (*TIMES[:4], (2.3, 3.9), (9, 10)))
    talk.write_text(talk.read_text(encoding="utf-8").replace("glad", "GLAD"), encoding="utf-8")
    out = tmp_path / "said.jsonl"
    assert predict(talk, "--model", model, "--out", out, "--seed", 0) == 0
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [one["available"]["audio"] for one in records] == [True, True, True, False, True, False]
    assert records[0]["label"] == "glad"
    printed = capsys.readouterr().out
    assert "1 utterances that end later are cut at its end, and 1 that begin later have no audio" in printed
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    talk.with_suffix(".wav").unlink()
    video = [*["-v", "error", "-f", "lavfi", "-i", "color=size=16x16:duration=1"], str(tmp_path / "talk.MKV")]
    subprocess.run([ffmpeg.get_ffmpeg_exe(), *video], check=True)
    assert predict(talk, "--model", model, "--out", out, "--seed", 0, "--overwrite") == 0
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert not any(one["available"]["audio"] for one in records) and records[0]["available"]["text"]
    assert "talk.MKV has no sound: give a recording that has; its 6 utterances have no audio" in capsys.readouterr().out


def test_each_speaker_of_a_call_is_read_from_their_own_channel(model: Path, tmp_path: Path) -> None:
    """The predictions are those for the mono recording."""
    said, times = ("rain came", "nobody", "again", "we waited"), ((0, 0.5), (0.5, 1), (1, 1.5), (1.5, 2))
    parts = [make_tone(0.5, 100 + 60 * number) for number in range(4)]
    call = np.zeros((len(np.concatenate(parts)), 2), np.float32)
    for number, part in enumerate(parts):
        call[number * len(part) : (number + 1) * len(part), number % 2] = part
    found = {}
    for name, samples in (("call", call), ("mono", np.concatenate(parts))):
        write_sound(tmp_path / f"{name}.wav", samples)
        write_table(tmp_path / f"{name}.csv", said, times)
        out = tmp_path / f"{name}.jsonl"
        assert predict(tmp_path / f"{name}.csv", "--model", model, "--out", out, "--seed", 0) == 0
        found[name] = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    for one, other in zip(found["call"], found["mono"], strict=True):
        assert one["probabilities"] == other["probabilities"] and one["available"]["audio"]


def test_what_is_said_may_look_like_markup(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "[1].jsonl"
    path.write_text('{"speaker": "[/b]", "text": "[laughs] :smile: rain [/i]"}\n', encoding="utf-8")
    assert predict(path, "--model", model) == 0
    assert "[laughs] :smile: rain [/i]" in capsys.readouterr().out


def test_an_old_answer_is_kept_unless_it_may_go(model: Path, talk: Path, tmp_path: Path) -> None:
    out = tmp_path / "said.jsonl"
    out.write_text("mine", encoding="utf-8")
    assert predict(talk, "--model", model, "--out", out) == 2 and out.read_text(encoding="utf-8") == "mine"
    assert predict(talk, "--model", model, "--out", out, "--overwrite") == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) == 6


def test_an_output_never_replaces_an_input(model: Path, talk: Path, tmp_path: Path) -> None:
    """Neither the transcript nor the recording, whatever name leads to it; nor is it read as a conversation later."""
    before = {path: path.read_bytes() for path in (talk, talk.with_suffix(".wav"))}
    link = tmp_path / "link.csv"
    link.symlink_to(talk)
    for out in (talk, link):
        assert predict(talk, "--model", model, "--out", out, "--overwrite") == 2
    other = tmp_path / "other.jsonl"
    other.write_text('{"speaker": "A", "clip": "clip.csv"}\n', encoding="utf-8")
    shutil.copy(talk.with_suffix(".wav"), tmp_path / "clip.csv")
    assert predict(other, "--model", model, "--out", tmp_path / "clip.csv", "--overwrite") == 2
    folder = tmp_path / "talks"
    folder.mkdir()
    shutil.copy(talk, folder)
    assert predict(folder, "--model", model, "--out", folder / "said.csv") == 2
    assert {path: path.read_bytes() for path in before} == before and sorted(folder.iterdir()) == [folder / "talk.csv"]


def test_the_ending_decides_the_form(model: Path, talk: Path, tmp_path: Path) -> None:
    arguments = (talk, "--model", model, "--seed", 0, "--samples", 1, "--out")
    for name in ("said.jsonl", "said.CSV", "said.html"):
        assert predict(*arguments, tmp_path / name) == 0
    records = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text(encoding="utf-8").splitlines()]
    with open(tmp_path / "said.CSV", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["emotion"] for row in rows] == [record["emotion"] for record in records]
    assert [row["text"] for row in rows] == [record["text"] or "" for record in records]
    assert [float(row["p_glad"]) for row in rows] == [record["probabilities"]["glad"] for record in records]
    assert [row["available_audio"] for row in rows] == ["1", "1", "1", "0", "1", "0"] and rows[0]["label"] == "glad"
    assert "the letter came again" in (tmp_path / "said.html").read_text(encoding="utf-8")


def test_parquet_holds_the_same_records(model: Path, talk: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert predict(talk, "--model", model, "--seed", 0, "--samples", 1, "--out", tmp_path / "said.parquet") == 0
    rows = parquet.read_table(tmp_path / "said.parquet").to_pylist()
    assert [row["text"] for row in rows] == [text or None for text in SAID] and len(rows[0]["probabilities"]) == 3


def test_parquet_needs_pyarrow(
    model: Path, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert predict(talk, "--model", model, "--out", tmp_path / "said.parquet") == 2
    assert "said.parquet needs the package pyarrow: pip install pyarrow, or write .jsonl" in capsys.readouterr().err
