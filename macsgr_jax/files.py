"""Files and folders: read where they are regular and not too large, and written so that they are whole or absent.

What is written stands under a temporary name beside its own until it is whole, and is renamed then.
"""

import errno
import io
import json
import math
import os
import re
import secrets
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from macsgr_jax.errors import FullDiskError, InputError, quote
from macsgr_jax.limits import MAX_ARRAY_BYTES, MAX_ARRAYS, MAX_JSON_BYTES, allow

if TYPE_CHECKING:
    import numpy as np

try:
    import fcntl
except ImportError:  # Not a POSIX system: there, what another process writes is never taken for abandoned.
    fcntl = None  # type: ignore[assignment]

TEMPORARY = re.compile(r"\..+-\w{8}(\.\w+)?")  # As `_make_temporary` names them.
CHECK = "check the path"
MAKE_ROOM = "make room; what was finished is kept, and a training is resumed with --resume"
BEGINNING = 512  # Bytes that show what a file is.
OBJECTS = "holds Python objects"


def read_file(path: Path, max_bytes: float, advice: str = CHECK) -> bytes:
    """Reads a whole regular file.

    Args:
        path: the file.
        max_bytes: the size above which it is refused, of `limits`.
        advice: what to do if it cannot be read, for the message.

    Returns:
        Its content.

    Raises:
        InputError: it cannot be opened, is no regular file, or is larger.
    """
    with open_file(path, max_bytes, advice) as file:
        return file.read()


@contextmanager
def open_file(path: Path, max_bytes: float = math.inf, advice: str = CHECK) -> Iterator[io.BufferedReader]:
    """Opens a regular file, and tells in one sentence whatever fails, also while it is read.

    A device or a pipe is refused before anything is read of it: reading could wait for ever, or take all memory.

    Args:
        path: the file.
        max_bytes: the size above which it is refused, of `limits`.
        advice: what to do if it cannot be read, for the message.

    Yields:
        The open file.

    Raises:
        InputError: it cannot be opened or read, is no regular file, is larger, or is one of `refuse_stand_in`.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{path} is a device or a pipe and no regular file: give a file")
            allow(status.st_size, max_bytes, f"{path} has {status.st_size} bytes")
            refuse_stand_in(path, file.read(BEGINNING))
            file.seek(0)
            yield file
    except OSError as error:
        raise InputError(f"{path} cannot be read ({describe_os_error(error)}): {advice}") from None
    except ValueError as error:
        if "embedded null" in str(error):
            raise InputError(f"{path} cannot be read (its name holds a null character): {advice}") from None
        raise


def refuse_stand_in(path: Path, beginning: bytes | str) -> None:
    """Refuses what a download or a clone leaves in place of a file.

    Args:
        path: the file, for the message.
        beginning: its first bytes or letters, some hundred of them.

    Raises:
        InputError: it is a pointer of Git LFS, or a web page.
    """
    text = beginning if isinstance(beginning, str) else beginning.decode("latin-1").removeprefix("\xef\xbb\xbf")
    text = text[:BEGINNING].lstrip().lower()
    if text.startswith("version https://git-lfs"):
        raise InputError(f"{path} is a placeholder of Git LFS and not the file itself: run `git lfs pull`")
    if text.startswith(("<!doctype html", "<html")):
        raise InputError(f"{path} is a web page and not the file itself: download that")


def describe_os_error(error: OSError) -> str:
    """Returns the reason of a failure of the system, such as "No such file or directory"."""
    return error.strerror or str(error) or type(error).__name__


def is_full(error: OSError) -> bool:
    """Returns whether a failure of the system is that of a full disk, or of a quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def is_file(path: Path) -> bool:
    """Returns whether a path leads to a regular file; where that cannot be found out, it does not.

    `Path.is_file` raises where a name is too long or a folder may not be searched.
    """
    return os.path.isfile(path)


def is_folder(path: Path) -> bool:
    """Returns whether a path leads to a folder; where that cannot be found out, it does not."""
    return os.path.isdir(path)


def exists(path: Path) -> bool:
    """Returns whether there is something at a path; where that cannot be found out, there is not."""
    return os.path.lexists(path) if "\0" not in str(path) else False


def list_folder(folder: Path) -> list[Path]:
    """Lists what is in a folder, sorted.

    Raises:
        InputError: it is no folder, or may not be read.
    """
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"{folder} cannot be read ({reason}): {CHECK}") from None


def read_json(path: Path, advice: str = CHECK, max_bytes: float = MAX_JSON_BYTES) -> Any:
    """Reads a JSON file.

    Args:
        path: the file.
        advice: what to do if it cannot be used, for the message.
        max_bytes: the size above which it is refused.

    Returns:
        Its values.

    Raises:
        InputError: it cannot be read, or is not JSON.
    """
    return parse_json(read_file(path, max_bytes, advice), str(path), advice)


def parse_json(content: bytes | str, where: str, advice: str = CHECK) -> Any:
    """Parses JSON; NaN and Infinity, which JSON does not have, are refused.

    Args:
        content: UTF-8 or text.
        where: where it stands, for the message.
        advice: what to do if it cannot be used, for the message.

    Raises:
        InputError: it is not JSON.
    """
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    # Numbers of thousands of digits and lists in thousands of lists are errors of other types.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is damaged ({quote(error)}): {advice}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def read_npz(path: Path, advice: str = CHECK) -> dict[str, "np.ndarray"]:
    """Reads all arrays of an .npz file, none of which holds Python objects; see `unpack_npz`.

    Args:
        path: the file.
        advice: what to do if it cannot be used, for the message.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    with open_file(path, MAX_ARRAY_BYTES, advice) as file:
        try:
            return unpack_npz(file)
        except InputError:
            raise
        # NumPy, zipfile and zlib raise a dozen types over damaged bytes, MemoryError for a garbled shape among them.
        except Exception as error:
            raise InputError(f"{path} is damaged ({quote(error) or type(error).__name__}): {advice}") from None


def unpack_npz(file: IO[bytes]) -> dict[str, "np.ndarray"]:
    """Reads all arrays of an open .npz file; what each claims to hold is compared with what is there before.

    Args:
        file: the file.

    Returns:
        Name -> array.

    Raises:
        InputError: the arrays are larger than the limits allow.
        ValueError: an array holds Python objects, is there twice, or contradicts itself; `zipfile` and `zlib` raise
            more types over damaged bytes.
    """
    import numpy as np  # Here, since the help of the commands needs files and no arrays.

    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        allow(len(members), MAX_ARRAYS, f"{len(members)} arrays are in the file")
        total = sum(member.file_size for member in members)
        allow(total, MAX_ARRAY_BYTES, f"the arrays of the file have {total} bytes")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"it has the array {quote(name)} twice")
            with archive.open(member) as content:
                _check_array_size(content, member.file_size, name)
            with archive.open(member) as content:
                arrays[name] = np.lib.format.read_array(content, allow_pickle=False)
                if content.read(1):  # What follows the array is not of it; reading to the end checks its checksum.
                    raise ValueError(f"the array {quote(name)} has more bytes than its shape")
    return arrays


def _check_array_size(content: IO[bytes], size: int, name: str) -> None:
    """Raises ValueError where an array claims another size than it has, before anything of that size is allocated."""
    import numpy as np

    version = np.lib.format.read_magic(content)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(content)
    if dtype.hasobject:
        advice = "which are never unpickled; save it as a plain array of numbers or strings"
        raise ValueError(f"the array {quote(name)} {OBJECTS}, {advice}")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize + content.tell() != size:
        raise ValueError(f"the array {quote(name)} has another size than its shape")


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
    if is_folder(path):
        raise InputError(f"{path} is a folder: give the path of a file")
    temporary, lock = None, -1
    try:
        temporary, lock = _make_temporary(path, lambda free: free.open("xb").close())
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
        _flush_to_disk(path.parent)
    except OSError as error:
        raise _refuse_to_write(path, error, "choose another place") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        unlock(lock)


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
    temporary, lock, folder = None, -1, folder.resolve()  # What a link points to is replaced, not the link.
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        temporary, lock = _make_temporary(folder, Path.mkdir)
        yield temporary
        for inside in (*temporary.rglob("*"), temporary):
            _flush_to_disk(inside)
        if folder.is_dir():
            shutil.rmtree(folder)  # A folder that is not empty cannot be renamed to.
        temporary.replace(folder)
        _flush_to_disk(folder.parent)
    except OSError as error:
        raise _refuse_to_write(folder, error, "choose another folder") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        unlock(lock)


def _refuse_to_write(path: Path, error: OSError, advice: str) -> InputError:
    """Returns the error that says why a path cannot be written; the advice is another one where the disk is full."""
    sentence = f"{path} cannot be written ({describe_os_error(error)})"
    return FullDiskError(f"{sentence}: {MAKE_ROOM}") if is_full(error) else InputError(f"{sentence}: {advice}")


def _make_temporary(path: Path, make: Callable[[Path], object]) -> tuple[Path, int]:
    """Makes a file or folder beside `path` under a name that no other has, without touching the process's umask.

    It is locked, so that other processes see that it is being written; the second value is the lock.
    """
    while True:
        temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
        try:
            make(temporary)
        except FileExistsError:
            continue
        lock = try_lock(temporary)
        if lock is None or not exists(temporary):  # Taken for abandoned before it was locked.
            continue
        return temporary, lock


def try_lock(path: Path) -> int | None:
    """Locks a file or folder for this process, without waiting.

    Args:
        path: what to lock. Nothing is written.

    Returns:
        The lock, an open descriptor whose closing ends it, as does the end of the process however it ends; -1 where the
        file system has no locks; None where another process holds it.

    Raises:
        OSError: it cannot be opened.
    """
    if fcntl is None:
        return -1
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        return None if error.errno in (errno.EAGAIN, errno.EACCES) else -1
    return descriptor


def unlock(lock: int) -> None:
    """Ends a lock of `try_lock`."""
    if lock >= 0:
        os.close(lock)


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
        found = [inside for inside in path.rglob(".*") if TEMPORARY.fullmatch(inside.name) and inside.is_file()]
    else:
        found = list(path.parent.glob(f".{_escape_pattern(path.stem)}-????????{_escape_pattern(path.suffix)}"))
    for temporary in found:
        temporary.unlink()


def remove_abandoned(path: Path, stem: str = "") -> None:
    """Removes temporary files or folders of a path that no process is writing to any more.

    Args:
        path: the file or folder that they were to become.
        stem: a pattern of the stem, for all files of the folder that have one; by default that of the path.
    """
    pattern = f".{stem or _escape_pattern(path.stem)}-????????{_escape_pattern(path.suffix)}"
    for temporary in path.parent.glob(pattern):
        if not TEMPORARY.fullmatch(temporary.name):
            continue
        with suppress(OSError):
            lock = try_lock(temporary)
            if lock is not None and lock >= 0:
                if temporary.is_dir():
                    shutil.rmtree(temporary, ignore_errors=True)
                else:
                    temporary.unlink(missing_ok=True)
                unlock(lock)


def _escape_pattern(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, UTF-8."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Writes indented JSON; numbers that are not finite are refused."""
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def replace_not_finite(values: Any) -> Any:
    """Returns plain values with null for each number that is not finite, which JSON does not have."""
    if isinstance(values, dict):
        return {name: replace_not_finite(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [replace_not_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def write_npz(path: Path, arrays: Mapping[str, "np.ndarray"]) -> None:
    """Writes arrays to a compressed, pickle-free .npz; their names may be any."""
    import numpy as np

    with (
        write_atomically(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive,
    ):
        for name, array in arrays.items():
            member = zipfile.ZipInfo(
                f"{name}.npy"
            )  # Its date is always the same, so that equal arrays are equal files.
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as content:
                np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=False)


def escape_formula(text: str) -> str:
    """Returns a cell of a table so that spreadsheets take it for text: one that begins as a formula gets an apostrophe.

    Reference:
        OWASP, CSV Injection.
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text
