"""The folder of a run: what is in it decides whether it is begun, gone on with, or left alone.

OUT/run.json       what the run is; written first
OUT/results.json   what it reached; written last
"""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from macsgr_jax.errors import InputError
from macsgr_jax.files import remove_temporaries, write_json
from macsgr_jax.overrides import from_json, to_json
from macsgr_jax.training.devices import is_writer, wait_for_all

RUN_FILE, RESULTS_FILE = "run.json", "results.json"
TEMPERATURES_FILE = "temperatures.json"  # Beside the weights: seed -> temperature fitted on the validation split.


def is_finished(out: Path) -> bool:
    """Whether the run in the folder has its results."""
    return (out / RESULTS_FILE).is_file()


def open_folder(out: Path, identity: dict[str, Any], outputs: tuple[str, ...], resume: bool, overwrite: bool) -> bool:
    """Make the folder ready for a run, or for going on with it.

    Args:
        out: the folder.
        identity: what the run is; a run goes on only where it is the same.
        outputs: files and folders that a run leaves besides, and that `overwrite` removes.
        resume: go on with the run that is there; begin if there is none.
        overwrite: remove the run that is there.

    Returns:
        Whether there is anything left to do.

    Raises:
        InputError: the folder cannot be written, holds another run, or holds one and neither flag is given.
    """
    if resume and overwrite:
        raise InputError("--resume and --overwrite contradict each other: give one of them")
    begun, finished = (out / RUN_FILE).is_file(), is_finished(out)
    if begun and resume:
        _compare(_read_identity(out / RUN_FILE), identity, out)
    elif not overwrite and out.is_dir() and any(not path.name.startswith(".") for path in out.iterdir()):
        state = "a finished run" if finished else "an interrupted run" if begun else "other files"
        advice = "" if finished or not begun else "go on with --resume, "
        raise InputError(
            f"--out {out} is not empty, it holds {state}: {advice}choose another folder, or replace a run with"
            " --overwrite"
        )
    wait_for_all("folder looked at")
    if begun and resume and finished:
        return False
    if is_writer():
        _make(out, (RESULTS_FILE, RUN_FILE, *outputs), keep=begun and resume)
        if not (begun and resume):
            write_json(out / RUN_FILE, identity)
    wait_for_all("folder ready")
    return True


def _make(out: Path, outputs: tuple[str, ...], keep: bool) -> None:
    """Make the folder, without the temporary files of a killed run and, unless it is kept, without the run."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in outputs:  # The results come first: from then on the folder holds no finished run.
            path = out / name
            remove_temporaries(path)
            if path.is_dir() and not keep:
                shutil.rmtree(path)
            elif not keep:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be written ({error.strerror}): choose another folder") from None


def _read_identity(path: Path) -> Any:
    """What the run was; settings that are newer than it have their defaults, with which nothing changes."""
    try:
        identity = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"--resume: {path} is damaged ({error}): replace the run with --overwrite") from None
    networks = identity.get("networks", {}) if isinstance(identity, dict) else {}
    for name, settings in networks.items():
        with contextlib.suppress(InputError):  # What is not known any more is named as different.
            networks[name] = to_json(from_json(settings))
    return identity


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
