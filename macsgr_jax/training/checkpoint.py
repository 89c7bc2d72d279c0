"""Weights on disk, what is needed to use them, and the state of a training under way. The only importer of orbax.

FOLDER/description.json   corpus, configuration, label names, feature sets
FOLDER/standardizer.npz   the scaling fitted on the training split
FOLDER/extractors.npz     how the features were made, where that is known
FOLDER/seed_0/            orbax checkpoints, one per kept epoch, and checksums.json, which loading them verifies
FOLDER/recovery_0/        orbax checkpoints of everything that changes in the first runs that train together
"""

import errno
import hashlib
import logging
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np

from macsgr_jax.data import extractor
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.data.standardize import Standardizer
from macsgr_jax.errors import FullDiskError, InputError
from macsgr_jax.files import (
    MAKE_ROOM,
    exists,
    is_folder,
    is_full,
    open_file,
    read_json,
    read_npz,
    write_json,
    write_npz,
    write_text,
)

# Orbax takes a second of processor time to import, which only those wait for who read or write its checkpoints.
if TYPE_CHECKING:
    import orbax.checkpoint as ocp

Params = dict[str, Any]

CHECKSUMS = "checksums.json"  # In the folder of one run's weights: each of its files -> sha256.
NO_ROOM = os.strerror(errno.ENOSPC)
CHECKPOINT_OVERHEAD = 2**18  # Bytes of what orbax writes beside the arrays: some 15 small files, a page each at least.
COMMITTED = "commit_success.txt"  # Orbax looks for the file alone, and writes the absolute path of the folder into it.


def _is_no_echo(record: logging.LogRecord) -> bool:
    """Returns False for an error that orbax logs at length, with a traceback, in a thread, and raises as well."""
    return record.levelno < logging.ERROR or "orbax" not in record.pathname


logging.getLogger("absl").addFilter(_is_no_echo)


@contextmanager
def _tell_of_full_disk(folder: Path) -> Iterator[None]:
    """Tells in one sentence that the disk is full; TensorStore raises a ValueError of many lines over that.

    Raises:
        FullDiskError: it is.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        if not (isinstance(error, OSError) and is_full(error)) and NO_ROOM not in str(error):
            raise
        raise FullDiskError(f"{folder} cannot be written ({NO_ROOM}): {MAKE_ROOM}") from None


def _require_room(folder: Path, tree: Any) -> None:
    """Checks that a checkpoint fits before it is begun: TensorStore prints pages over one that does not.

    Raises:
        OSError: it does not fit.
    """
    num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) + CHECKPOINT_OVERHEAD
    if shutil.disk_usage(folder).free < num_bytes:
        raise OSError(errno.ENOSPC, NO_ROOM)


def _validation_waf1(metrics: dict[str, float]) -> float:
    return metrics["waf1"]


def _open_manager(folder: Path) -> "ocp.CheckpointManager":
    import orbax.checkpoint as ocp
    from orbax.checkpoint.checkpoint_managers import preservation_policy

    # `max_to_keep` with a `best_fn` would drop the latest step: policies keep both.
    policy = preservation_policy.AnyPreservationPolicy(
        [preservation_policy.LatestN(1), preservation_policy.BestN(n=1, get_metric_fn=_validation_waf1)]
    )
    # One process reads or writes weights at a time, without waiting for the others.
    alone = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(), active_processes={jax.process_index()}, barrier_sync_key_prefix="weights"
    )
    options = ocp.CheckpointManagerOptions(
        best_fn=_validation_waf1,
        best_mode="max",
        preservation_policy=policy,
        multiprocessing_options=alone,
        create=False,
    )
    return ocp.CheckpointManager(folder.absolute(), options=options)


class _Checkpoints:
    """A context manager that waits for the writes of an orbax manager on leaving."""

    _folder: Path
    _manager: "ocp.CheckpointManager"

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the writes under way."""
        with _tell_of_full_disk(self._folder):
            self._manager.close()

    def _begin(self, epoch: int, tree: Any, **content: Any) -> None:
        """Begins to write, in the background, what orbax's `save` is given; `tree` has the arrays that it holds."""
        with _tell_of_full_disk(self._folder):
            self._manager.wait_until_finished()
            _require_room(self._folder, tree)
            self._manager.save(epoch, **content)


class RunCheckpoints(_Checkpoints):
    """The weights of one run, best and last: a context manager that waits for its writes on leaving."""

    def __init__(self, folder: Path) -> None:
        """Open the folder of one run, made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._manager = _open_manager(folder)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the writes under way, and write the checksums of what was written, which holds no path."""
        super().__exit__(kind, error, traceback)
        if kind is None:
            for path in self._folder.rglob(COMMITTED):
                write_text(path, "whole\n")
            write_json(self._folder / CHECKSUMS, _compute_checksums(self._folder))

    def save(self, epoch: int, params: Params, validation_waf1: float) -> None:
        """Write weights in the background.

        Args:
            epoch: from 1.
            params: the weights; copied, so that the caller may donate its buffers.
            validation_waf1: by which the best is kept, between 0 and 1.
        """
        import orbax.checkpoint as ocp

        copied = jax.tree.map(np.array, params)
        self._begin(epoch, copied, args=ocp.args.StandardSave(copied), metrics={"waf1": validation_waf1})


class RecoveryCheckpoints(_Checkpoints):
    """The last two states of a training, from which it can go on: a context manager that waits for its writes.

    Several processes may share the folder; all of them have to make the same calls.
    """

    def __init__(self, folder: Path) -> None:
        """Open `folder`, made if need be."""
        import orbax.checkpoint as ocp
        from orbax.checkpoint.checkpoint_managers import preservation_policy

        options = ocp.CheckpointManagerOptions(preservation_policy=preservation_policy.LatestN(2))
        self._folder = folder
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def is_empty(self) -> bool:
        """Whether there is no state to go on from."""
        return self._manager.latest_step() is None

    def save(self, epoch: int, state: Any) -> None:
        """Write a state in the background.

        Args:
            epoch: from 1.
            state: a tree of arrays; copied, so that the caller may donate its buffers.
        """
        import orbax.checkpoint as ocp

        data = _keys_to_data(state)
        if jax.process_count() == 1:
            packed = _pack(data)
            content = ocp.args.Composite(
                state=ocp.args.StandardSave({"packed": packed}),
                checksum=ocp.args.JsonSave({"crc32": zlib.crc32(packed.data)}),
            )
        else:  # What is spread over processes is copied, and written, where it is.
            copied = jax.tree.map(lambda leaf: leaf.copy(), data)
            content = ocp.args.Composite(state=ocp.args.StandardSave(copied))
        self._begin(epoch, data, args=content)

    def restore(self, like: Any) -> tuple[int, Any, list[str]]:
        """The last state that is whole.

        Args:
            like: a tree of arrays of the same structure, shapes and places on the devices.

        Returns:
            Its epoch, the state, and a sentence for each checkpoint that is damaged.

        Raises:
            InputError: all of them are damaged.
        """
        damages: dict[int, str] = {}
        data = _keys_to_data(like)
        for epoch in sorted(self._manager.all_steps(), reverse=True):
            try:
                found = self._restore(epoch, data)
            except Exception as error:  # Orbax raises nothing narrower where an array cannot be read.
                first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
                damages[epoch] = f"the checkpoint {self._folder / str(epoch)} is damaged ({first})"
                continue
            for damaged in damages:
                self._manager.delete(damaged)  # Orbax would not save an epoch again that is there.
            notices = [f"{damage}: it is removed, and the one before it used" for damage in damages.values()]
            return epoch, _data_to_keys(found, like), notices
        raise InputError(f"{damages[min(damages)]}; there is no earlier one: train again with --overwrite")

    def _restore(self, epoch: int, like: Any) -> Any:
        import orbax.checkpoint as ocp

        if jax.process_count() > 1:
            wanted = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
            return self._manager.restore(epoch, args=ocp.args.Composite(state=ocp.args.StandardRestore(wanted))).state
        empty = np.empty(sum(leaf.nbytes for leaf in jax.tree.leaves(like)), np.uint8)
        content = ocp.args.Composite(state=ocp.args.StandardRestore({"packed": empty}), checksum=ocp.args.JsonRestore())
        found = self._manager.restore(epoch, args=content)
        packed = np.asarray(found.state["packed"])
        if zlib.crc32(packed.data) != found.checksum["crc32"]:
            raise ValueError("its checksum differs")
        return _unpack(packed, like)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _keys_to_data(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _data_to_keys(tree: Any, like: Any) -> Any:
    return jax.tree.map(lambda leaf, old: jax.random.wrap_key_data(leaf) if _is_key(old) else leaf, tree, like)


def _pack(tree: Any) -> np.ndarray:
    """The bytes of all arrays as one: u8[bytes].

    Orbax takes its time for each array; and where it cannot read one of several, it leaves the reading of the others to
    itself, which then complains at length.
    """
    return np.concatenate([np.frombuffer(np.asarray(leaf).tobytes(), np.uint8) for leaf in jax.tree.leaves(tree)])


def _unpack(packed: np.ndarray, like: Any) -> Any:
    """The arrays that were packed, placed as those of a like tree."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.nbytes for leaf in leaves])
    values = [
        packed[end - leaf.nbytes : end].view(leaf.dtype).reshape(leaf.shape).copy()
        for leaf, end in zip(leaves, ends, strict=True)
    ]
    placed = [
        jax.device_put(value, leaf.sharding) if isinstance(leaf, jax.Array) else value
        for value, leaf in zip(values, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, placed)


def _compute_checksums(folder: Path) -> dict[str, str]:
    """Returns the path of each file below a folder, but for the checksums -> its sha256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    checksums = {}
    for path in files:
        with open_file(path) as file:
            checksums[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return checksums


def _verify_checksums(folder: Path) -> None:
    """Checks that the weights of a run are as they were written, before anything native reads them.

    Weights of earlier versions have no checksums, and are not checked.

    Raises:
        InputError: a file is missing, was added, or has changed.
    """
    path = folder / CHECKSUMS
    if not exists(path):
        return
    stored, found = read_json(path, "train again"), _compute_checksums(folder)
    if stored == found == {}:
        raise InputError(f"{folder} holds no finished checkpoint: train again")
    if not isinstance(stored, dict) or not stored:
        raise InputError(f"{path} is damaged (it holds no checksums): train again")
    different = sorted(name for name in {*stored, *found} if stored.get(name) != found.get(name))
    if different:
        name = different[0]
        what = "is missing" if name not in found else "does not belong to it" if name not in stored else "has changed"
        raise InputError(f"the checkpoint {folder} cannot be read (its file {name} {what}): copy it or train again")


def load_params(folder: Path, which: Literal["best", "last"]) -> tuple[Params, int]:
    """The weights of one run and the epoch they are of.

    Args:
        folder: of the run.
        which: of the best validation WAF1, or the last.

    Returns:
        Weights and epoch.

    Raises:
        InputError: there is no such checkpoint, or it cannot be read.
    """
    import orbax.checkpoint as ocp

    if not is_folder(folder):
        raise InputError(f"{folder} does not exist: there is no checkpoint")
    _verify_checksums(folder)
    epoch, params = None, {}
    try:
        with _open_manager(folder) as manager:
            if not all(manager.metrics(step) for step in manager.all_steps()):
                raise ValueError("a validation WAF1 is missing")  # Orbax would take another epoch for the best.
            epoch = manager.best_step() if which == "best" else manager.latest_step()
            if epoch is not None:
                params = manager.restore(epoch, args=ocp.args.StandardRestore())
    except Exception as error:  # Orbax raises nothing narrower where a file is damaged.
        # Its own first line can go on for pages.
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"a checkpoint in {folder} cannot be read ({first}): train again") from None
    if epoch is None:
        raise InputError(f"{folder} holds no finished checkpoint: train again")
    return params, epoch


def save_description(
    folder: Path, description: dict[str, Any], standardizer: Standardizer, made_by: dict[str, Extractor]
) -> None:
    """Write what is needed to use the weights.

    Args:
        folder: the checkpoints of a run; made if need be.
        description: plain values.
        standardizer: the scaling.
        made_by: feature set -> how it was made, of a corpus that says so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "description.json", description)
    write_npz(folder / "standardizer.npz", standardizer.to_arrays())
    used = {name for names in standardizer.feature_sets.values() for name in names}
    write_npz(folder / "extractors.npz", extractor.to_arrays({name: made_by[name] for name in used & made_by.keys()}))


def load_description(folder: Path) -> tuple[dict[str, Any], Standardizer]:
    """What `save_description` wrote.

    Raises:
        InputError: a file is missing or damaged.
    """
    for path in (folder / "description.json", folder / "standardizer.npz"):
        if not exists(path):
            raise InputError(f"{path} does not exist: {os.fspath(folder)} is not the checkpoint folder of a run")
    description = read_json(folder / "description.json", "train again")
    path = folder / "standardizer.npz"
    arrays = read_npz(path, "train again")
    try:
        return description, Standardizer.from_arrays(arrays)
    except InputError as error:
        raise InputError(f"{path} is damaged ({error}): train again") from None


def load_extractors(folder: Path) -> dict[str, Extractor]:
    """How the features were made, as `save_description` wrote it; empty for runs that are older than this file.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / "extractors.npz"
    if not exists(path):
        return {}
    arrays = read_npz(path, "train again")
    try:
        return extractor.from_arrays(arrays)
    except InputError as error:
        raise InputError(f"{path} is damaged ({error}): train again") from None
