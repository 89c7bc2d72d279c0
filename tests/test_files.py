"""Files are whole or absent."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.sources.feature_pickle import read_feature_pickle
from macsgr_jax.data.sources.meld import read_meld
from macsgr_jax.data.transcript import read_conversations
from macsgr_jax.errors import InputError
from macsgr_jax.features.audio_io import read_clip
from macsgr_jax.files import (
    read_json,
    remove_temporaries,
    write_atomically,
    write_folder_atomically,
    write_json,
    write_npz,
    write_text,
)
from macsgr_jax.viewer.predictions import read_predictions

KILLED: list[Any] = []


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_ends_well_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    with write_atomically(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".md" and temporary != path
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and names_in(tmp_path) == ["report.md"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    with pytest.raises(error), write_atomically(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and names_in(tmp_path) == ["report.md"]


def test_a_block_that_fails_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), write_atomically(tmp_path / "new.txt") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert names_in(tmp_path) == []


def begin_to_write(path: Path) -> Path:
    """The temporary file that a process leaves which is killed while it writes."""
    block = write_atomically(path)
    temporary = block.__enter__()
    temporary.write_text("half")
    KILLED.append(block)  # Else it would clean up behind itself.
    return temporary


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "inside" / "deeper").mkdir(parents=True)
    mine = (".report-of-mine.md", ".reports-12345678.md", "inside/.notes-of-mine.txt", "inside/part_0.npz")
    for name in mine:
        (tmp_path / name).write_text(name)
    for path in (tmp_path / "report.md", tmp_path / "inside" / "part_0.npz", tmp_path / "inside" / "deeper" / "a.json"):
        assert begin_to_write(path).exists()
    other = begin_to_write(tmp_path / "results.json")
    for path in (tmp_path / "report.md", tmp_path / "inside", tmp_path / "absent.txt"):
        remove_temporaries(path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*mine, other.name}


def test_a_full_disk_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    with (
        pytest.raises(InputError, match=r"report\.md cannot be written \(No space left on device\): make room"),
        write_atomically(path),
    ):
        raise OSError(28, "No space left on device")
    assert names_in(tmp_path) == []


def test_places_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"absent/report\.md cannot be written \(No such file or directory\)"):
        write_text(tmp_path / "absent" / "report.md", "")
    with pytest.raises(InputError, match=r"file/report\.md cannot be written \(Not a directory\)"):
        write_text(tmp_path / "file" / "report.md", "")
    with pytest.raises(InputError, match="is a folder: give the path of a file"):
        write_text(tmp_path, "")
    assert names_in(tmp_path) == ["file"]


def test_files_have_the_permissions_that_the_user_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "report.md", "")
    finally:
        assert os.umask(before) == 0o027
    assert stat.S_IMODE((tmp_path / "report.md").stat().st_mode) == 0o640


def test_writing_in_threads_never_changes_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The umask belongs to the whole process: a thread that sets it and sets it back makes files of others too open."""
    asked = os.umask(0o027)
    calls: list[int] = []
    monkeypatch.setattr(os, "umask", lambda mask: calls.append(mask) or asked)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: write_text(tmp_path / f"{number}.txt", str(number)), range(200)))
            for number, folder in enumerate(pool.map(write_one_folder, [tmp_path / f"of{n}" for n in range(40)])):
                assert folder == tmp_path / f"of{number}"
    finally:
        monkeypatch.undo()
        assert os.umask(asked) == 0o027
    assert not calls
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o640} and len(list(tmp_path.rglob("*.txt"))) == 240
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.is_dir()} == {0o750}


def write_one_folder(folder: Path) -> Path:
    with write_folder_atomically(folder) as temporary:
        (temporary / "inside.txt").write_text("inside")
    return folder


def test_a_file_is_on_disk_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a loss of power could leave the new name with nothing in it."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watch_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def watch_replace(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(Path, "replace", watch_replace)
    write_text(tmp_path / "report.md", "")
    assert steps == ["file", "rename", "folder"]
    steps.clear()
    write_one_folder(tmp_path / "model")
    assert steps == ["file", "folder", "rename", "folder"]


def test_a_folder_is_whole_or_absent(tmp_path: Path) -> None:
    write_one_folder(tmp_path / "deeper" / "model")
    with pytest.raises(ZeroDivisionError), write_folder_atomically(tmp_path / "deeper" / "model") as temporary:
        (temporary / "half.txt").write_text("half")
        raise ZeroDivisionError
    assert names_in(tmp_path / "deeper") == ["model"] and names_in(tmp_path / "deeper" / "model") == ["inside.txt"]


def test_text_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    write_text(tmp_path / "report.md", "± Müller 😊\n")
    assert (tmp_path / "report.md").read_bytes() == "± Müller 😊\n".encode()


def test_json_round_trip_and_numbers_that_json_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    values = {"text": "±", "list": [1, 2.5, None, True], "tenth": 0.1}
    write_json(path, values)
    assert json.loads(path.read_text(encoding="utf-8")) == values
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == values and names_in(tmp_path) == ["results.json"]


def test_arrays_round_trip_and_objects_are_never_pickled(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    arrays = {"numbers": np.arange(3), "names": np.array(["a", "bc"]), "none": np.zeros((0, 2), np.float32)}
    write_npz(path, arrays)
    with np.load(path, allow_pickle=False) as found:
        assert sorted(found) == sorted(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
    with pytest.raises(ValueError, match="allow_pickle=False"):
        write_npz(path, {"objects": np.array([{}], object)})
    assert names_in(tmp_path) == ["arrays.npz"]
    with np.load(path, allow_pickle=False) as found:
        assert sorted(found) == sorted(arrays)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
            "a placeholder of Git LFS and not the",
        ),
        (
            b"\xef\xbb\xbf\n <!DOCTYPE html>\n<html><body>Sign in</body></html>",
            "a web page and not the file itself: down",
        ),
        (b"<HTML><body>Not found</body></HTML>", "a web page and not the file itself: download that"),
    ],
)
def test_what_stands_in_place_of_a_file_is_named_by_every_reader(content: bytes, sentence: str, tmp_path: Path) -> None:
    """Whatever the ending: what a clone without Git LFS leaves, and what is saved of a page that asks to sign in."""
    readers: dict[str, Any] = {
        "a.pkl": read_feature_pickle,
        "a.npz": load_corpus,
        "a.csv": read_conversations,
        "a.srt": read_conversations,
        "a.json": read_json,
        "a.jsonl": read_predictions,
        "train_sent_emo.csv": lambda path: read_meld(path.parent),
        "a.wav": lambda path: read_clip(Clip(path)),
    }
    for name, read in readers.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is {sentence}"):
            read(tmp_path / name)
