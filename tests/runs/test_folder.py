"""The folder of a run: begun, gone on with, finished, or somebody else's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from macsgr_jax.config import Config
from macsgr_jax.errors import InputError
from macsgr_jax.overrides import to_json
from macsgr_jax.runs.folder import begin_folder, is_finished, is_to_train

IDENTITY: dict[str, Any] = {
    "seeds": [0, 1],
    "networks": {"full": {"train": {"epochs": 4, "rate": 0.1}, "data": {"features": []}}},
}
OUTPUTS = ("report.md", "checkpoints")


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path): b"" if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture
def open_it(tmp_path: Path) -> Callable[..., bool]:
    """Makes the folder tmp_path/out ready, if there is anything to train."""

    def open_it(identity: dict[str, Any] = IDENTITY, *, resume: bool = False, overwrite: bool = False) -> bool:
        if not is_to_train(tmp_path / "out", identity, resume, overwrite):
            return False
        begin_folder(tmp_path / "out", identity, OUTPUTS, resume)
        return True

    return open_it


@pytest.fixture
def begun(open_it: Callable[..., bool], tmp_path: Path) -> Path:
    """The folder of a run that was interrupted while it wrote."""
    assert open_it()
    out = tmp_path / "out"
    (out / "checkpoints" / "full" / "seed_0").mkdir(parents=True)
    for name in ("report.md", ".report-abcd_123.md", ".notes-on-this.md", "checkpoints/full/.part_0-12345678.npz"):
        (out / name).write_text(name)
    (out / "checkpoints" / "full" / "part_0.npz").write_text("finished")
    (out / "checkpoints" / "full" / "seed_0" / "d-is-not.temporary").write_text("weights")
    return out


@pytest.fixture
def finished(begun: Path) -> Path:
    (begun / "results.json").write_text("{}")
    return begun


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_a_run_begins_where_there_is_none(
    open_it: Callable[..., bool], tmp_path: Path, resume: bool, there: bool
) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
        (out / ".run-abcdefgh.json").write_text("{")  # Of a run that was killed at its very beginning.
        (out / ".gitignore").write_text("*")
    assert open_it(resume=resume)
    assert json.loads((out / "run.json").read_text(encoding="utf-8")) == IDENTITY
    assert {path.name for path in out.iterdir()} == {"run.json", *([".gitignore"] if there else [])}
    assert not is_finished(out)


def test_without_a_word_nothing_is_replaced(open_it: Callable[..., bool], begun: Path) -> None:
    before = list_files(begun)
    with pytest.raises(
        InputError, match="it holds an interrupted run: resume it with --resume, choose another folder, or"
    ):
        open_it()
    assert list_files(begun) == before
    (begun / "results.json").write_text("{}")
    with pytest.raises(InputError, match="it holds a finished run: choose another folder, or replace a run with --ov"):
        open_it()
    (begun / "results.json").unlink()
    assert list_files(begun) == before


@pytest.mark.parametrize("resume", [False, True])
def test_the_files_of_others_are_left_alone(open_it: Callable[..., bool], tmp_path: Path, resume: bool) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="is not empty, it holds other files: choose another folder"):
        open_it(resume=resume)
    assert list(list_files(tmp_path).values()) == [b"", b"mine"]


def test_going_on_keeps_all_but_what_was_half_written(open_it: Callable[..., bool], begun: Path) -> None:
    before = list_files(begun)
    assert open_it(resume=True)
    gone = {path for path in before if path not in list_files(begun)}
    assert {Path(path).name for path in gone} == {".report-abcd_123.md", ".part_0-12345678.npz"}
    assert list_files(begun) == {path: content for path, content in before.items() if path not in gone}


def test_a_finished_run_is_not_touched(open_it: Callable[..., bool], finished: Path) -> None:
    before = list_files(finished)
    assert is_finished(finished) and not open_it(resume=True)
    assert list_files(finished) == before


def test_overwriting_removes_what_a_run_leaves_and_nothing_else(open_it: Callable[..., bool], finished: Path) -> None:
    (finished / "mine.txt").write_text("mine")
    assert open_it({"seeds": [5]}, overwrite=True)
    assert json.loads((finished / "run.json").read_text(encoding="utf-8")) == {"seeds": [5]}
    assert {path.name for path in finished.iterdir()} == {"run.json", "mine.txt", ".notes-on-this.md"}


def test_each_difference_is_named(open_it: Callable[..., bool], begun: Path) -> None:
    before = list_files(begun)
    other = {
        "seeds": [0, 1, 2],
        "networks": {"full": {"train": {"epochs": 5, "rate": 0.1}, "data": {"features": []}}, "text": {"a": True}},
    }
    with pytest.raises(InputError) as caught:
        open_it(other, resume=True)
    assert str(caught.value) == (
        f"--resume: {begun} holds another run: networks.full.train.epochs was 4 and is 5; networks.text.a was absent"
        " and is True; seeds was [0, 1] and is [0, 1, 2]. Give the same options, or another --out"
    )
    assert list_files(begun) == before


def test_the_same_run_described_anew_is_the_same(open_it: Callable[..., bool], begun: Path) -> None:
    assert open_it(json.loads(json.dumps(IDENTITY)), resume=True)


def test_settings_that_are_newer_than_the_run_have_their_defaults(open_it: Callable[..., bool], tmp_path: Path) -> None:
    settings = to_json(Config())
    older = json.loads(json.dumps(settings))
    del older["train"]["modality_dropout"], older["model"]["matmul"]
    assert open_it({"networks": {"full": older}})
    assert open_it({"networks": {"full": settings}}, resume=True)
    settings["train"]["modality_dropout"] = 0.5
    with pytest.raises(InputError, match=r"networks\.full\.train\.modality_dropout was 0\.0 and is 0\.5"):
        open_it({"networks": {"full": settings}}, resume=True)


def test_a_damaged_description_is_an_input_error(open_it: Callable[..., bool], begun: Path) -> None:
    for content in ("{", '"text"', "[]"):
        (begun / "run.json").write_text(content)
        with pytest.raises(InputError, match=r"run\.json is damaged .*--overwrite|holds another run"):
            open_it(resume=True)


def test_two_wishes_that_contradict_each_other(open_it: Callable[..., bool], finished: Path) -> None:
    before = list_files(finished)
    with pytest.raises(InputError, match="--resume and --overwrite contradict each other"):
        open_it(resume=True, overwrite=True)
    assert list_files(finished) == before


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match="cannot be written"):
            begin_folder(out, IDENTITY, OUTPUTS, resume=False)
