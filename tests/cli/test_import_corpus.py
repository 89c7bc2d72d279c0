"""Own conversations, and releases, as corpora with features that a new recording can get too."""

import csv
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.errors import InputError
from tests.testing.corpora import make_corpus
from tests.testing.sounds import make_tone, write_sound

TURNS = (("Ann", "the rain came", "sad"), ("Ben", "nobody saw it", "calm"), ("Ann", "it rained again", "sad"))


def write_conversations(folder: Path, sound: bool = True) -> Path:
    for split, names in (("train", ("a", "b")), ("test", ("c",))):
        (folder / split).mkdir(parents=True)
        for name in names:
            with open(folder / split / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["speaker", "start", "end", "text", "label"])
                for row, (speaker, text, label) in enumerate(TURNS):
                    writer.writerow([speaker, row, row + 0.5, text, label])
            if sound:
                tones = [make_tone(1.0, 100 + 50 * row) for row in range(3)]
                write_sound(folder / split / f"{name}.wav", np.concatenate(tones))
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(*arguments: object) -> int:
    return main(["import", *map(str, arguments)])


def test_own_conversations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("opensmile")
    out = tmp_path / "mine.npz"
    folder = write_conversations(tmp_path / "mine")
    assert run("conversations", folder, out, "--features", "text_lsa,audio_egemaps") == 0
    corpus = load_corpus(out)
    assert corpus.name == "mine" and corpus.label_names == ("calm", "sad")
    assert corpus.dialogue_names == ("a", "b", "c") and corpus.split.tolist() == [0, 0, 2]
    assert corpus.labels.tolist() == [1, 0, 1] * 3
    assert corpus.features["audio_egemaps"].shape == (9, 88) and corpus.measured["audio_egemaps"].all()
    # The pitch of the tones, in semitones above 27.5 Hz.
    wanted = 12 * np.log2(np.array([100, 150, 200]) / 27.5)
    np.testing.assert_allclose(corpus.features["audio_egemaps"][:3, 0], wanted, atol=0.4)
    assert set(corpus.extractors) == {"text_lsa", "audio_egemaps"}
    assert corpus.extractors["text_lsa"].arrays["terms"].tolist()[:2] == ["again", "came"]
    assert "train: 2 dialogues of 6 utterances" in capsys.readouterr().out


def test_labels_are_looked_at_merged_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Spellings that differ in case are one emotion; the rest is told, and changed only where asked."""
    folder = write_conversations(tmp_path / "mine", sound=False)
    for split, name, old, new in (
        ("train", "a", "calm", "Calm"),
        ("train", "b", "calm", "0.33"),
        ("test", "c", "sad", "sadd"),
    ):
        path = folder / split / f"{name}.csv"
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert run("conversations", folder, tmp_path / "told.npz") == 0
    printed = capsys.readouterr().out
    assert "train: 2 dialogues of 6 utterances: 1 0.33, 1 calm, 4 sad, 0 sadd" in printed
    assert "note: Labels that differ in case alone are one emotion: Calm as calm." in printed
    assert "note: The split train has no utterance with the label sadd." in printed
    assert "note: Labels that are numbers: 0.33." in printed
    assert "note: Labels that look like one emotion: sad and sadd." in printed
    options = ("--merge-labels", "sad=sadd", "--ignore-labels", "0.33")
    assert run("conversations", folder, tmp_path / "tidy.npz", *options) == 0
    printed = capsys.readouterr().out
    assert "train: 2 dialogues of 5 utterances: 1 calm, 4 sad" in printed and "look like one emotion" not in printed
    assert load_corpus(tmp_path / "tidy.npz").label_names == ("calm", "sad")
    assert run("conversations", folder, tmp_path / "x.npz", "--merge-labels", "sad") == 2
    assert "--merge-labels sad: give an emotion and the labels that become it, as happy" in capsys.readouterr().err
    assert run("conversations", folder, tmp_path / "x.npz", "--threshold", "0") == 2
    assert "thresholds is for pickle, not for conversations" in capsys.readouterr().err


def test_utterances_without_a_label_are_context(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_conversations(tmp_path / "mine", sound=False)
    for path in (folder / "train" / "a.csv", folder / "test" / "c.csv"):
        path.write_text(re.sub("calm" if path.stem == "a" else "calm|sad", "", path.read_text()), encoding="utf-8")
    assert run("conversations", folder, tmp_path / "mine.npz") == 0
    printed = capsys.readouterr().out
    assert printed.count("without a label") == 3
    notice = "Utterances without a label are context, and in no loss and no score: 1 of 6 in train, 3 of 3 in test."
    assert f"note: {notice}" in printed and "note: The split test has no labels: it can be predicted" in printed
    assert "train: 2 dialogues of 6 utterances: 1 calm, 4 sad, 1 without a label" in printed
    assert load_corpus(tmp_path / "mine.npz").labels.tolist() == [1, -1, 1, 1, 0, 1, -1, -1, -1]


def test_faults_of_all_splits_are_told_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_conversations(tmp_path / "mine", sound=False)
    for path in sorted(folder.rglob("*.csv")):
        path.write_text(path.read_text(encoding="utf-8").replace("Ben,1,1.5", ",1,1.5"), encoding="utf-8")
    assert run("conversations", folder, tmp_path / "mine.npz") == 0
    assert "3 without a speaker (they count as one speaker, unknown)" in capsys.readouterr().out
    assert run("conversations", folder, tmp_path / "strict.npz", "--strict") == 2
    printed = capsys.readouterr().err
    assert "error: 3 faults: " in printed and printed.count("the speaker is empty") == 3


def test_the_corpus_never_replaces_what_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.npz"
    save_corpus(make_corpus(), path)
    before = path.read_bytes()
    assert run("corpus", path, path, "--overwrite", "--features", "text_lsa") == 2
    assert "small.npz is what is read, and would be destroyed: give the output another name" in capsys.readouterr().err
    assert path.read_bytes() == before


def forget_labels(folder: Path) -> None:
    for path in (folder / "train").glob("*.csv"):
        path.write_text(re.sub("calm|sad", "", path.read_text(encoding="utf-8")), encoding="utf-8")


def same_names(folder: Path) -> None:
    (folder / "test" / "c.csv").rename(folder / "test" / "a.csv")


def cut_recording(folder: Path) -> None:
    write_sound(folder / "test" / "c.wav", make_tone(1.0, 100))


def no_test(folder: Path) -> None:
    (folder / "test").rename(folder / "later")


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (forget_labels, (), r"train: no utterance has a label: add a column `label`"),
        (same_names, (), "there are two conversations a"),
        (no_test, (), "has no folder test"),
        (
            cut_recording,
            ("--features", "audio_egemaps", "--strict"),
            r"c\.csv: row 3, utterance 001: it ends at 1\.50 s, but .*c\.wav is 1\.00 s long",
        ),
        (lambda _: None, ("--features", "text_bert"), "there is no feature set 'text_bert' to make"),
        (lambda _: None, ("--folds", "x.json"), "folds is for cmu, not for conversations"),
    ],
)
def test_conversations_that_cannot_be_learned_from(
    spoil: Callable[[Path], None],
    options: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = write_conversations(tmp_path / "mine", sound=False), tmp_path / "mine.npz"
    spoil(folder)
    assert run("conversations", folder, out, *options) == 2
    printed = capsys.readouterr().err
    assert re.search(message, printed) and printed.count("error: ") == 1 and not out.exists()


def test_the_folder_of_the_corpus_has_to_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("conversations", tmp_path / "mine", tmp_path / "gone" / "mine.npz") == 2
    assert "mine.npz cannot be written: there is no folder" in capsys.readouterr().err


def test_sequences_have_names_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cmu", tmp_path / "labels.csd", tmp_path / "out.npz") == 2
    assert "cmu: name the features with --sequence" in capsys.readouterr().err
    assert run("cmu", tmp_path / "labels.csd", tmp_path / "out.npz", "--sequence", "text_glove") == 2
    assert "--sequence text_glove: give a feature set and its file" in capsys.readouterr().err


def test_a_corpus_file_says_how_its_features_were_made(tmp_path: Path) -> None:
    path = tmp_path / "small.npz"
    save_corpus(make_corpus(), path, sentiment=np.arange(3.0), extractor_text_small=np.array('{"kind": "words"}'))
    assert load_corpus(path).extractors["text_small"].description == {"kind": "words"}
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["sentiment"], np.arange(3.0))
    save_corpus(make_corpus(), path, extractor_text_gone=np.array("{}"))
    with pytest.raises(
        InputError, match=r"small\.npz: the array extractor_text_gone describes a feature set that is not"
    ):
        load_corpus(path)
    save_corpus(make_corpus(), path, extractor_text_small=np.array("[]"))
    with pytest.raises(InputError, match="the array extractor_text_small is not a JSON object"):
        load_corpus(path)


def test_a_corpus_gets_further_features_and_keeps_what_it_has(tmp_path: Path) -> None:
    before, after = tmp_path / "before.npz", tmp_path / "after.npz"
    corpus = make_corpus()
    texts = tuple(f"word {number}" for number in range(corpus.num_utterances))
    mood = np.linspace(-1, 1, corpus.num_utterances, dtype=np.float32)
    save_corpus(dataclasses.replace(corpus, texts=texts), before, mood=mood)
    assert run("corpus", before, after, "--features", "text_use") == 0
    kept, made = load_corpus(before), load_corpus(after)
    assert made.features.keys() - kept.features.keys() == {"text_use"} and set(made.extractors) == {"text_use"}
    assert made.features["text_use"].shape == (corpus.num_utterances, 512) and made.measured["text_use"].all()
    for name, values in kept.features.items():
        np.testing.assert_array_equal(made.features[name], values)
    assert (made.name, made.texts, made.dialogue_names) == (kept.name, kept.texts, kept.dialogue_names)
    np.testing.assert_array_equal(made.split, kept.split)
    with np.load(after) as arrays:
        np.testing.assert_array_equal(arrays["mood"], mood)


def test_a_corpus_does_not_get_what_it_has_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.npz", tmp_path / "after.npz"
    save_corpus(make_corpus(), before)
    assert run("corpus", before, after, "--features", "text_use") == 2
    assert "has no texts: text_use needs them" in capsys.readouterr().err and not after.exists()
    assert run("corpus", before, after, "--features", "audio_egemaps") == 2
    assert "comes without audio: audio_egemaps needs it" in capsys.readouterr().err and not after.exists()
