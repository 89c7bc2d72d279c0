"""The table of sources: a new importer is one file and one row."""

from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.data import sources
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.data.sources import READERS
from macsgr_jax.data.sources.build import ImportedCorpus, Source
from macsgr_jax.errors import InputError
from macsgr_jax.features import importing
from macsgr_jax.features.importing import import_corpus, read_source
from tests.testing.sounds import make_tone, write_sound


def read_notes(path: Path, labels: tuple[str, ...] = ("calm", "sad")) -> ImportedCorpus:
    """A reader as somebody else would write it: every line of a file is a dialogue of two utterances."""
    lines = path.read_text(encoding="utf-8").splitlines()
    dialogues = [
        Dialogue(
            f"d{number}",
            [
                Utterance(f"d{number}_{n}", speaker, text, labels[n])
                for n, (speaker, text) in enumerate(zip("AB", line.split(";"), strict=True))
            ],
            ("train", "test")[number % 2],
        )
        for number, line in enumerate(lines)
    ]
    corpus = Corpus.from_dialogues("notes", dialogues, labels)
    return ImportedCorpus(corpus, extra_arrays={"length": np.arange(corpus.num_utterances)})


@pytest.fixture
def with_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """READERS with one row more."""
    table = {**READERS, "notes": Source(reads="a file of notes", read=read_notes, options=("labels",))}
    monkeypatch.setattr(sources, "READERS", table)
    monkeypatch.setattr(importing, "READERS", table)


@pytest.mark.usefixtures("with_notes")
def test_a_row_of_the_table_is_an_importer(tmp_path: Path) -> None:
    path, out = tmp_path / "notes.txt", tmp_path / "notes.npz"
    path.write_text("it rains;good\nit snows;well\nrain;snow\n", encoding="utf-8")
    corpus = import_corpus("notes", path, out, labels=("x", "y"))
    assert corpus.label_names == ("x", "y") and list(corpus.features) == ["text_lsa"]
    assert load_corpus(out).split.tolist() == [0, 2, 0]
    with np.load(out) as arrays:
        assert arrays["length"].tolist() == list(range(6))
    with pytest.raises(InputError, match="folds is for cmu, not for notes: leave it out"):
        import_corpus("notes", path, out, folds=path)


def test_the_command_lists_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for kind, source in READERS.items():
        assert f"{kind}: {source.reads}" in printed


def test_every_row_is_complete() -> None:
    for source in READERS.values():
        assert source.reads and callable(source.read) and set(source.required) <= set(source.options)


def test_unknown_kinds_and_missing_options_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no kind of source 'meldd': choose among iemocap, .*corpus"):
        read_source("meldd", tmp_path)
    with pytest.raises(InputError, match="cmu: name the features with --sequence"):
        read_source("cmu", tmp_path)
    with pytest.raises(InputError, match=r"mine should end in \.npz"):
        import_corpus("meld", tmp_path, tmp_path / "mine")


def test_recordings_that_end_too_early_are_found_by_the_library(tmp_path: Path) -> None:
    """Not by the reader, which opens no recording: audio is checked where audio features are wanted."""
    pytest.importorskip("soundfile")
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / f"{split}.csv").write_text(
            "speaker,start,end,text,label\nAnn,0,1,rain again,calm\nBen,1,2,snow came,sad\n", encoding="utf-8"
        )
        write_sound(tmp_path / split / f"{split}.wav", make_tone(1.0, 100))
    imported = read_source("conversations", tmp_path)
    assert imported.corpus.name == tmp_path.name and len(imported.clips) == len(imported.where) == 4
    with pytest.raises(InputError, match=r"train\.csv: row 3, utterance 001: it ends at 2\.00 s"):
        import_corpus("conversations", tmp_path, tmp_path / "out.npz", features=["audio_egemaps"], strict=True)
    assert import_corpus("conversations", tmp_path, tmp_path / "out.npz").num_dialogues == 2
