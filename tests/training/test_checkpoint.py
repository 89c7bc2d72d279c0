"""Weights on disk: the best and the last of a seed come back, damage is named."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import pytest

from macsgr_jax.config import Config
from macsgr_jax.data.dataset import prepare
from macsgr_jax.data.standardize import PARTS, standardize
from macsgr_jax.errors import FullDiskError, InputError
from macsgr_jax.overrides import from_json, to_json
from macsgr_jax.training.checkpoint import RunCheckpoints, load_description, load_params, save_description
from tests.testing.corpora import make_corpus

WAF1 = {1: 0.3, 2: 0.9, 3: 0.5, 4: 0.6}


def make_params(epoch: int) -> dict[str, Any]:
    random = np.random.default_rng(epoch)
    return {
        "dense": {"kernel": random.normal(size=(2, 3)).astype(np.float32), "bias": np.float32([epoch, -epoch])},
        "prototypes": random.normal(size=(4, 2)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of seed 7 after four epochs, of which the second was the best."""
    folder = tmp_path_factory.mktemp("trained")
    with RunCheckpoints(folder / "seed_7") as checkpoints:
        for epoch, waf1 in WAF1.items():
            checkpoints.save(epoch, jax.tree.map(jax.numpy.asarray, make_params(epoch)), waf1)
    return folder


def list_files(folder: Path) -> Iterator[tuple[str, int, int]]:
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder)), path.stat().st_mtime_ns, path.stat().st_size


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(("which", "epoch"), [("best", 2), ("last", 4)])
def test_best_and_last_come_back(trained: Path, which: Literal["best", "last"], epoch: int) -> None:
    before = list(list_files(trained))
    params, found = load_params(trained / "seed_7", which)
    assert found == epoch
    assert_equal(params, make_params(epoch))
    assert list(list_files(trained)) == before


def test_the_others_are_deleted(trained: Path) -> None:
    assert sorted(path.name for path in (trained / "seed_7").iterdir()) == ["2", "4", "checksums.json"]


def test_the_last_may_be_the_best(tmp_path: Path) -> None:
    with RunCheckpoints(tmp_path / "seed_0") as checkpoints:
        for epoch, waf1 in ((1, 0.0), (2, 0.1)):
            checkpoints.save(epoch, make_params(epoch), waf1)
    for which in ("best", "last"):
        params, epoch = load_params(tmp_path / "seed_0", which)
        assert epoch == 2
        assert_equal(params, make_params(2))


def test_what_is_saved_is_a_copy(tmp_path: Path) -> None:
    """The training loop reuses the buffers of its weights while they are being written."""
    params = make_params(1)
    with RunCheckpoints(tmp_path / "seed_0") as checkpoints:
        checkpoints.save(1, params, 0.5)
        params["dense"]["kernel"][:] = -1
    assert_equal(load_params(tmp_path / "seed_0", "last")[0], make_params(1))


def test_an_interrupted_training_leaves_what_was_saved(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RunCheckpoints(tmp_path / "seed_0") as checkpoints:
        checkpoints.save(1, make_params(1), 0.5)
        raise KeyboardInterrupt
    (tmp_path / "seed_0" / "2.orbax-checkpoint-tmp").mkdir()
    params, epoch = load_params(tmp_path / "seed_0", "last")
    assert epoch == 1
    assert_equal(params, make_params(1))


def test_absent_checkpoints_are_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seed_8 does not exist: there is no checkpoint"):
        load_params(trained / "seed_8", "best")
    assert not (trained / "seed_8").exists()
    with RunCheckpoints(tmp_path / "seed_0"):
        pass
    with pytest.raises(InputError, match="seed_0 holds no finished checkpoint: train again"):
        load_params(tmp_path / "seed_0", "best")


@pytest.mark.parametrize("damage", ["cut short", "deleted", "overwritten"])
def test_damage_to_any_file_is_an_input_error_or_does_no_harm(tmp_path: Path, damage: str) -> None:
    """Never another error, never other weights; one array, as orbax would go on reading the others in a thread."""
    params = {"prototypes": make_params(2)["prototypes"]}
    with RunCheckpoints(tmp_path / "seed_7") as checkpoints:
        for epoch in (2, 4):
            checkpoints.save(epoch, {"prototypes": params["prototypes"] * epoch}, WAF1[epoch])
    refused = set()
    for path in [path for path in (tmp_path / "seed_7" / "2").rglob("*") if path.is_file()]:
        content = path.read_bytes()
        if damage == "deleted":
            path.unlink()
        else:
            path.write_bytes(content[: len(content) // 2] if damage == "cut short" else bytes(255 - b for b in content))
        try:
            found, epoch = load_params(tmp_path / "seed_7", "best")
        except InputError as error:
            assert "seed_7 cannot be read" in str(error) and "\n" not in str(error) and len(str(error)) < 600
            refused.add(path.name)
        else:
            assert epoch == 2
            np.testing.assert_array_equal(found["prototypes"], 2 * params["prototypes"])
        path.write_bytes(content)
    assert {"manifest.ocdbt", "_METADATA", "metrics"} <= refused


def test_description_and_standardiser_come_back(tmp_path: Path) -> None:
    corpus = make_corpus()
    standardizer = prepare(corpus, Config()).standardizer
    description = {"corpus": {"name": "sm±ll"}, "config": to_json(Config())}
    save_description(tmp_path / "checkpoints" / "full", description, standardizer, {})
    found, other = load_description(tmp_path / "checkpoints" / "full")
    assert found == description and from_json(found["config"]) == Config()
    assert other.feature_sets == standardizer.feature_sets and other.clip == standardizer.clip
    for part in PARTS:
        jax.tree.map(np.testing.assert_array_equal, getattr(other, part), getattr(standardizer, part))
    for one, another in zip(standardize(other, corpus), standardize(standardizer, corpus), strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, another)


@pytest.mark.parametrize("name", ["description.json", "standardizer.npz"])
@pytest.mark.parametrize("damage", ["cut short", "deleted", "overwritten"])
def test_a_damaged_description_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    save_description(tmp_path, {"config": to_json(Config())}, prepare(make_corpus(), Config()).standardizer, {})
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    if damage != "deleted":
        garbled = bytes(255 - byte for byte in content)
        (tmp_path / name).write_bytes(content[: len(content) // 2] if damage == "cut short" else garbled)
    sentence = "does not exist: .* is not the checkpoint folder of a run" if damage == "deleted" else "is damaged"
    with pytest.raises(InputError, match=f"{name} {sentence}"):
        load_description(tmp_path)


def test_weights_hold_no_path(tmp_path: Path) -> None:
    """Neither as it is, nor in what is compressed: a path of 200 random letters would be seen in the sizes."""
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz0123456789"), 200)
    folders = [tmp_path / "".join(letters) / "seed_0", tmp_path / "a" / "seed_0"]
    sizes = []
    for parent in folders:
        of_folder = []
        for attempt in range(5):  # On a loaded machine TensorStore divides its tree into other numbers of files.
            folder = parent / f"{attempt}"
            with RunCheckpoints(folder) as checkpoints:
                checkpoints.save(1, make_params(1), 0.5)
            files = [path for path in folder.rglob("*") if path.is_file()]
            assert not [path.name for path in files if str(tmp_path).encode() in path.read_bytes()]
            of_folder.append(sum(path.stat().st_size for path in files))
        sizes.append(of_folder)
        load_params(folder, "last")
    long, short = sizes
    assert min(abs(one - other) for one in long for other in short) < 100


def test_weights_that_do_not_fit_are_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**18))
    with (
        pytest.raises(FullDiskError, match=r"seed_0 cannot be written \(No space left on device\)"),
        RunCheckpoints(tmp_path / "seed_0") as checkpoints,
    ):
        checkpoints.save(1, make_params(1), 0.5)
    assert list((tmp_path / "seed_0").iterdir()) == []
