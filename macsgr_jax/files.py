"""Files that are whole or absent: written under a temporary name in the same folder, then renamed."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from macsgr_jax.errors import InputError

TEMPORARY = re.compile(r"\..+-\w{8}\.\w+")  # As `tempfile.mkstemp` makes them below.


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """A temporary name to write to, renamed to `path` when the block ends well and removed when it does not.

    Args:
        path: the file to make or replace.

    Yields:
        The temporary path, which keeps the suffix of `path`.

    Raises:
        InputError: the folder or the file cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the path of a file")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another place") from None
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files that only their owner can read.
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another place") from None
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(path: Path) -> None:
    """Remove what a process that was killed while it wrote left behind: of a file, or of every file in a folder."""
    if path.is_dir():
        found = [inside for inside in path.rglob(".*") if TEMPORARY.fullmatch(inside.name)]
    else:
        found = list(path.parent.glob(f".{path.stem}-????????{path.suffix}"))
    for temporary in found:
        temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Write JSON, indented; numbers that are not finite are refused."""
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays to a compressed, pickle-free .npz."""
    with write_atomically(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
