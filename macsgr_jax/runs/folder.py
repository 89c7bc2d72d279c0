"""The folder of a run: its contents decide whether the run begins, is resumed, or is left alone.

OUT/run.json       the identity of the run: corpus, seeds and settings; written first
OUT/results.json   its scores; a run that has them is finished
"""

import os
import shutil
from pathlib import Path
from typing import Any

from macsgr_jax.errors import InputError
from macsgr_jax.files import (
    describe_os_error,
    exists,
    is_file,
    is_folder,
    list_folder,
    read_json,
    remove_temporaries,
    try_lock,
    unlock,
    write_json,
)
from macsgr_jax.overrides import from_json, to_json
from macsgr_jax.runs.schemas import Identity, Results, check_values
from macsgr_jax.training.devices import is_writer, wait_for_all

RUN_FILE, RESULTS_FILE = "run.json", "results.json"
TEMPERATURES_FILE = "temperatures.json"  # Beside the weights: seed -> temperature fitted on the validation split.
# Version 0.1 took the execution for a part of the run.
EXECUTION_KEYS = ("runs_at_once", "devices")


def is_finished(out: Path) -> bool:
    """Returns whether the run in the folder has its results."""
    return is_file(out / RESULTS_FILE)


def read_results(out: Path) -> dict[str, Any]:
    """Reads the results file of a finished run.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = out / RESULTS_FILE
    if not exists(path):
        raise InputError(f"{path} does not exist: {out} is not the folder of a finished run")
    results: dict[str, Any] = read_json(path, "train again")
    check_values(results, Results, path, "train again")
    return results


def is_to_train(out: Path, identity: dict[str, Any], resume: bool, overwrite: bool) -> bool:
    """Checks whether a run may be trained into a folder, without changing anything.

    Args:
        out: the folder of the run.
        identity: the corpus, the seeds and the settings of the run; it is resumed only where they are the same.
        resume: whether to resume the run that is there; it begins if there is none.
        overwrite: whether to replace the run that is there.

    Returns:
        Whether there is anything left to train; False for a finished run of this identity.

    Raises:
        InputError: the folder holds another run, or holds one and neither flag is given.
    """
    if resume and overwrite:
        raise InputError("--resume and --overwrite contradict each other: give one of them")
    _refuse_busy(out)
    begun, finished = is_file(out / RUN_FILE), is_finished(out)
    if begun and resume:
        _compare(_read_identity(out / RUN_FILE), identity, out)
    elif not overwrite and is_folder(out) and any(not path.name.startswith(".") for path in list_folder(out)):
        state = "a finished run" if finished else "an interrupted run" if begun else "other files"
        advice = "" if finished or not begun else "resume it with --resume, "
        raise InputError(
            f"--out {out} is not empty, it holds {state}: {advice}choose another folder, or replace a run with"
            " --overwrite"
        )
    wait_for_all("folder looked at")
    return not (begun and resume and finished)


def begin_folder(out: Path, identity: dict[str, Any], outputs: tuple[str, ...], resume: bool) -> None:
    """Makes the folder of a run that `is_to_train` allows: empty of an earlier run unless that one is resumed.

    Args:
        out: the folder of the run.
        identity: see `is_to_train`; written into run.json.
        outputs: the other files and folders of a run, which are removed unless it is resumed.
        resume: whether to keep the run that is there.

    Raises:
        InputError: the folder cannot be written.
    """
    if is_writer():
        keep = resume and is_file(out / RUN_FILE)
        _hold(out)
        _make(out, (RESULTS_FILE, RUN_FILE, *outputs), keep)
        if not keep:
            write_json(out / RUN_FILE, identity)
    wait_for_all("folder ready")


# Folder -> the lock by which this process holds it.
_held: dict[str, int] = {}


def _refuse_busy(out: Path) -> None:
    """Raises InputError where another process trains into the folder."""
    if not is_folder(out) or os.path.realpath(out) in _held:
        return
    lock = try_lock(out)
    if lock is None:
        raise InputError(f"--out {out} is in use by another process that trains: wait for it, or choose another folder")
    unlock(lock)


def _hold(out: Path) -> None:
    """Makes the folder and holds it until `release_folder` or the end of the process, however it ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        _refuse_busy(out)
        lock = None if os.path.realpath(out) in _held else try_lock(out)
    except OSError as error:
        raise InputError(f"--out {out} cannot be written ({describe_os_error(error)}): choose another folder") from None
    if lock is not None:
        _held[os.path.realpath(out)] = lock


def release_folder(out: Path) -> None:
    """Lets other processes train into a folder of `begin_folder` again."""
    lock = _held.pop(os.path.realpath(out), None)
    if lock is not None:
        unlock(lock)


def _make(out: Path, outputs: tuple[str, ...], keep: bool) -> None:
    """Makes the folder, without the temporary files of a killed run and, unless it is kept, without the run."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in outputs:  # The results come first: from then on the folder holds no finished run.
            path = out / name
            remove_temporaries(path)
            if path.is_dir() and not path.is_symlink() and not keep:
                shutil.rmtree(path)
            elif not keep:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be written ({describe_os_error(error)}): choose another folder") from None


def _read_identity(path: Path) -> Any:
    """Reads the identity of a run, also of version 0.1; settings that are newer than the run have their defaults."""
    advice = "replace the run with --overwrite"
    identity = read_json(path, advice)
    check_values(identity, Identity, path, advice)
    for name in EXECUTION_KEYS:
        identity.pop(name, None)
    if "points" in identity and isinstance(identity["seeds"], int):
        identity["seeds"] = list(range(identity["seeds"]))
    networks = identity.get("networks") or {}
    for name in networks:
        networks[name] = _renew(networks[name])
    if "config" in identity:
        identity["config"] = _renew(identity["config"])
    return identity


def _renew(settings: Any) -> Any:
    """Returns stored settings as this version writes them, so that what it does not know is a difference."""
    try:
        return to_json(from_json(settings))
    except InputError:
        return settings


def _compare(stored: Any, wanted: dict[str, Any], out: Path) -> None:
    before, now = dict(_flatten(stored)), dict(_flatten(wanted))
    different = [
        f"{name} was {before.get(name, 'absent')} and is {now.get(name, 'absent')}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if different:
        raise InputError(
            f"--resume: {out} holds another run: {'; '.join(different)}. Give the same options, or another --out"
        )


def _flatten(values: Any, name: str = "") -> list[tuple[str, Any]]:
    if not isinstance(values, dict):
        return [(name, values)]
    return [pair for key, value in values.items() for pair in _flatten(value, f"{name}.{key}" if name else str(key))]
