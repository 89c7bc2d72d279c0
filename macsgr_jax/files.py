"""Files and folders that are whole or absent: written under a temporary name beside their own, then renamed."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.errors import InputError

TEMPORARY = re.compile(r"\..+-\w{8}\.\w+")  # As `_make_temporary` names them, for a file with a suffix.


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Gives a temporary file to write to, renames it to `path` when the block ends well, and removes it otherwise.

    The file gets the permissions of any file that the process makes, and is on disk before it is renamed.

    Args:
        path: the file to make or replace.

    Yields:
        The temporary path, which keeps the suffix of `path`.

    Raises:
        InputError: the folder or the file cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the path of a file")
    temporary = None
    try:
        temporary = _make_temporary(path, lambda free: free.open("xb").close())
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
        _flush_to_disk(path.parent)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another place") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def write_folder_atomically(folder: Path) -> Iterator[Path]:
    """Gives a temporary folder to write to, renames it when the block ends well, and removes it otherwise.

    Args:
        folder: the folder to make or replace, with everything in it; those above it are made.

    Yields:
        The temporary path.

    Raises:
        InputError: the folder cannot be written.
    """
    temporary, folder = None, folder.resolve()  # What a link points to is replaced, not the link.
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = _make_temporary(folder, Path.mkdir)
        yield temporary
        for inside in (*temporary.rglob("*"), temporary):
            _flush_to_disk(inside)
        if folder.is_dir():
            shutil.rmtree(folder)  # A folder that is not empty cannot be renamed to.
        temporary.replace(folder)
        _flush_to_disk(folder.parent)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}): choose another folder") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _make_temporary(path: Path, make: Callable[[Path], object]) -> Path:
    """Makes a file or folder beside `path` under a name that no other has, without touching the process's umask."""
    while True:
        temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
        try:
            make(temporary)
        except FileExistsError:
            continue
        return temporary


def _flush_to_disk(path: Path) -> None:
    """Sees that a file's content, or a folder's list of names, survives a loss of power."""
    if path.is_dir() and os.name != "posix":
        return  # Only there can a folder be opened.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(path: Path) -> None:
    """Removes what a killed process left behind while it wrote.

    Args:
        path: a file, whose temporaries are removed, or a folder, in which those of every file are.
    """
    if path.is_dir():
        found = [inside for inside in path.rglob(".*") if TEMPORARY.fullmatch(inside.name)]
    else:
        found = list(path.parent.glob(f".{path.stem}-????????{path.suffix}"))
    for temporary in found:
        temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text file, UTF-8."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Writes indented JSON; numbers that are not finite are refused."""
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays to a compressed, pickle-free .npz."""
    with write_atomically(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
