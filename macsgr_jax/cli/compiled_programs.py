"""Programs that JAX compiled, kept for the next start of the same command."""

import importlib
import importlib.metadata
import os
import platform
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from macsgr_jax.errors import quote
from macsgr_jax.files import describe_os_error

LEAST_SECONDS = 0.1  # What takes less to compile is not kept.
LOOKED = ".looked"  # Its time is that of the last look for entries that are half written.
ZSTANDARD = b"\x28\xb5\x2f\xfd"  # Begins what is compressed so; otherwise it is zlib.


def use_compilation_cache() -> None:
    """Has JAX keep compiled programs in the user's cache folder, for the next start of the same command.

    There is one folder per version of jaxlib and machine, since programs for the CPU of one do not run on every other;
    JAX_COMPILATION_CACHE_DIR names another folder, and JAX_ENABLE_COMPILATION_CACHE=false keeps nothing.
    """
    import platformdirs

    # JAX reads both variables when it is imported. Its own least time, a second, leaves out half of the programs.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(LEAST_SECONDS))
    version = importlib.metadata.version("jaxlib")
    folder = Path(platformdirs.user_cache_dir("macsgr_jax")) / f"jaxlib-{version}" / platform.node()
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"{quote(folder)}: {describe_os_error(error)}"
            print(f"note: compiled programs are not kept for the next time ({reason})", file=sys.stderr)
            return
        remove_half_written(folder)
    if "jax" not in sys.modules:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
        return
    import jax

    if not getattr(jax.config, "jax_compilation_cache_dir", None):
        jax.config.update("jax_compilation_cache_dir", str(folder))


def remove_half_written(folder: Path) -> None:
    """Removes entries that are not whole, among those that were written since the last look.

    JAX writes them in place, and neither replaces nor removes what a killed process or a full disk left of one: it
    would warn of it, and compile again, at every start.

    Args:
        folder: the folder of the programs.
    """
    looked = folder / LOOKED
    with suppress(OSError):  # They are kept to save time, and done without where that fails.
        last = looked.stat().st_mtime if looked.exists() else 0.0
        looked.touch()
        for entry in folder.glob("*-cache"):
            if entry.stat().st_mtime >= last - 1 and not is_whole(entry.read_bytes()):
                entry.unlink()


def is_whole(content: bytes) -> bool:
    """Returns whether compressed bytes are there to their end; True where that cannot be found out."""
    if content.startswith(ZSTANDARD):
        unpack = _find_zstandard()
        return unpack is None or _is_unpacked(unpack, content)
    return _is_unpacked(zlib.decompress, content)


def _find_zstandard() -> Any:
    for module, name in (("compression.zstd", "decompress"), ("zstandard", "decompress")):
        with suppress(ImportError):
            return getattr(importlib.import_module(module), name, None)
    return None


def _is_unpacked(unpack: Any, content: bytes) -> bool:
    try:
        unpack(content)
    except Exception:  # Each package has an exception of its own.
        return False
    return True
