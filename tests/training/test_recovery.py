"""The state of a training on disk: the last whole one comes back bit for bit, damage is named and passed over."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from macsgr_jax.errors import FullDiskError, InputError
from macsgr_jax.training.checkpoint import RecoveryCheckpoints


def make_state(epoch: int) -> dict[str, Any]:
    """Two runs: numbers of several kinds, keys, and a history whose later epochs are not there yet."""
    random = np.random.default_rng(epoch)
    history = random.normal(size=(2, 3, 4)).astype(np.float32)
    history[:, epoch:] = np.nan
    runs = {
        "step": jnp.full(2, epoch, jnp.int32),
        "params": jnp.asarray(random.normal(size=(2, 300)), jnp.float32),
        "key": jax.random.split(jax.random.key(epoch)),
    }
    return {"runs": runs, "history": {"terms": history, "seconds": np.array([epoch / 3])}}


LIKE = make_state(0)


def flatten(state: dict[str, Any]) -> dict[str, tuple[str, bytes]]:
    """Kind and bits of every array."""
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(state)}
    arrays = {
        name: np.asarray(jax.random.key_data(leaf) if name.endswith("['key']") else leaf)
        for name, leaf in leaves.items()
    }
    return {name: (str(array.dtype), array.tobytes()) for name, array in arrays.items()}


def write(folder: Path, *epochs: int) -> None:
    with RecoveryCheckpoints(folder) as recovery:
        for epoch in epochs:
            recovery.save(epoch, make_state(epoch))


def read(folder: Path) -> tuple[int, dict[str, Any], list[str]]:
    with RecoveryCheckpoints(folder) as recovery:
        return recovery.restore(LIKE)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After three epochs; not to be changed."""
    folder = tmp_path_factory.mktemp("written") / "recovery"
    write(folder, 1, 2, 3)
    return folder


def test_the_last_state_comes_back_bit_for_bit(written: Path) -> None:
    epoch, state, notices = read(written)
    assert epoch == 3 and notices == []
    assert flatten(state) == flatten(make_state(3))
    assert jax.tree.structure(state) == jax.tree.structure(LIKE)
    for leaf, like in zip(jax.tree.leaves(state["runs"]), jax.tree.leaves(LIKE["runs"]), strict=True):
        assert leaf.sharding == like.sharding and leaf.dtype == like.dtype


def test_the_last_two_are_kept(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == ["2", "3"]


def test_what_is_saved_is_a_copy(tmp_path: Path) -> None:
    """The training loop reuses the buffers of its state, and fills its history, while they are being written."""
    state = make_state(1)
    with RecoveryCheckpoints(tmp_path) as recovery:
        recovery.save(1, state)
        state["history"]["terms"][:] = -1
        for leaf in jax.tree.leaves(state["runs"]):
            leaf.delete()
    assert flatten(read(tmp_path)[1]) == flatten(make_state(1))


def test_an_interruption_leaves_what_was_saved(tmp_path: Path) -> None:
    with RecoveryCheckpoints(tmp_path) as recovery:
        assert recovery.is_empty()
    with pytest.raises(KeyboardInterrupt), RecoveryCheckpoints(tmp_path) as recovery:
        recovery.save(1, make_state(1))
        raise KeyboardInterrupt
    (tmp_path / "2.orbax-checkpoint-tmp").mkdir()  # As a killed process leaves it.
    with RecoveryCheckpoints(tmp_path) as recovery:
        assert not recovery.is_empty()
    assert read(tmp_path)[0] == 1
    write(tmp_path, 2)
    assert read(tmp_path)[0] == 2 and flatten(read(tmp_path)[1]) == flatten(make_state(2))


def flip(content: bytes) -> bytes:
    """With one bit changed, in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [flip, lambda content: content[: len(content) // 2], lambda content: None], ids=["flip", "cut", "delete"]
)
def test_damage_to_any_file_is_named_or_does_no_harm(
    written: Path, tmp_path: Path, damage: Callable[[bytes], bytes | None]
) -> None:
    """Never another error, never other numbers."""
    passed_over = set()
    files = [path.relative_to(written) for path in (written / "3").rglob("*") if path.is_file()]
    for number, name in enumerate(files):
        folder = Path(shutil.copytree(written, tmp_path / str(number)))
        content = (folder / name).read_bytes()
        if not content:
            continue
        damaged = damage(content)
        (folder / name).unlink() if damaged is None else (folder / name).write_bytes(damaged)
        epoch, state, notices = read(folder)
        assert flatten(state) == flatten(make_state(epoch)), name
        if epoch == 2:
            (notice,) = notices
            assert notice.startswith(f"the checkpoint {folder / '3'} is damaged (") and "\n" not in notice
            assert notice.endswith("): it is removed, and the one before it used") and len(notice) < 600
            passed_over.add(name.parts[-2] if len(name.name) == 32 else name.name)
        else:
            assert (epoch, notices) == (3, [])
    assert {"metadata", "manifest.ocdbt", "d"} <= passed_over


def test_a_state_that_is_whole_but_not_what_was_saved_is_damaged(written: Path, tmp_path: Path) -> None:
    """Files of another epoch, each of them whole: the checksum alone tells."""
    folder = Path(shutil.copytree(written, tmp_path / "recovery"))
    shutil.rmtree(folder / "3" / "state")
    shutil.copytree(folder / "2" / "state", folder / "3" / "state")
    epoch, state, notices = read(folder)
    assert epoch == 2 and flatten(state) == flatten(make_state(2))
    assert "recovery/3 is damaged (its checksum differs)" in notices[0]


def test_the_epoch_of_a_damaged_checkpoint_is_saved_again(written: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "recovery"))
    (folder / "3" / "checksum" / "metadata").write_text("{")
    with RecoveryCheckpoints(folder) as recovery:
        assert recovery.restore(LIKE)[0] == 2
        recovery.save(3, make_state(3))
    epoch, state, notices = read(folder)
    assert (epoch, notices) == (3, []) and flatten(state) == flatten(make_state(3))


def test_where_all_are_damaged_there_is_nothing_to_go_on_from(written: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "recovery"))
    for epoch in ("2", "3"):
        (folder / epoch / "checksum" / "metadata").unlink()
    with pytest.raises(InputError, match=r"recovery/2 is damaged \(.*there is no earlier one: train again with --over"):
        read(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["2", "3"]


def test_a_state_that_does_not_fit_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "recovery"
    write(folder, 1)
    before = sorted(folder.rglob("*"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**18))
    with pytest.raises(FullDiskError, match=r"No space left on device.*--resume"):
        write(folder, 2)
    assert sorted(folder.rglob("*")) == before
    assert read(folder)[0] == 1
