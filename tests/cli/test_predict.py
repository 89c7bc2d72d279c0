"""From a table and a recording to emotions, at once and as it happens; and a sentence for what cannot be."""

import csv
import dataclasses
import io
import json
import shutil
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
    assert predict(tmp_path / "test.jsonl", "--model", model, "--out", out, "--seed", 1) == 0
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
        lambda model, folder: [str(write_table(folder / "talk.csv", SAID, (*TIMES[:5], (2.8, 9))))],
        "talk.csv: row 7, utterance 005: it ends at 9.00 s, but",
    ),
    "label": (
        lambda model, folder: [str(folder / "talk.csv"), *change_description(model, folder, '"glad"', '"jolly"')],
        "row 2, utterance 000: its label is 'glad', none of calm, jolly, sad",
    ),
    "no model": (
        lambda model, folder: [str(folder / "talk.csv"), "--model", "/gone"],
        "/gone is not the folder of a run",
    ),
    "another version": (
        lambda model, folder: [str(folder / "talk.csv"), *change_description(model, folder, '"max_hops"', '"hops"')],
        "was trained by version 0.2.0 of macsgr_jax",
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
    ("lines", "options", "message"),
    [
        ('{"speaker": "A", "text": "rain"}\nrain\n', (), "standard input: line 2 is not JSON"),
        ('{"speaker": "A", "text": "Gr\xfc\xdfe"}\n', (), "standard input: line 1 is not UTF-8 text"),
        (
            2 * '{"id": "x", "speaker": "A", "text": "rain"}\n',
            (),
            "line 2: the id 'x' is that of",
        ),
        ("", ("--recording", "/gone.wav"), "the recording /gone.wav does not exist"),
        (
            '{"speaker": "A", "start": 90, "end": 91}\n',
            ("--recording", "talk.wav"),
            "standard input: line 1, utterance 000: it ends at 91.00 s, but talk.wav is",
        ),
        ("", ("--out", "said.jsonl"), "--out is not for --follow"),
    ],
)
def test_a_line_that_cannot_be_understood_ends_the_following(
    lines: str,
    options: tuple[str, ...],
    message: str,
    model: Path,
    talk: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    say(monkeypatch, lines, "latin-1")
    assert predict("--follow", "--model", model, *options) == 2
    printed = capsys.readouterr()
    assert printed.err.count("error: ") == 1 and message in printed.err
    assert len(printed.out.splitlines()) == (1 if "line 2" in message else 0)


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
