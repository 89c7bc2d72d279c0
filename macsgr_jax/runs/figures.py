"""Draws figures where that is possible: they add to results that are on disk already, and never stop anything."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from macsgr_jax.errors import quote
from macsgr_jax.files import exists, remove_abandoned


def draw_if_possible(path: Path, draw: Callable[[Path], None], console: Console) -> None:
    """Draws a figure that is not there yet; where that fails, a note is printed instead.

    Args:
        path: the file to write.
        draw: draws it.
        console: the console for the note.
    """
    remove_abandoned(path)
    if exists(path):
        return
    try:
        draw(path)
    except ImportError:
        console.print(f"note: no {path.name} without matplotlib: pip install 'macsgr-jax[cli]'", highlight=False)
    except Exception as error:  # Whatever matplotlib raises over names, sizes and fonts.
        reason = quote(str(error).splitlines()[0]) if str(error) else type(error).__name__
        console.print(f"note: {path.name} cannot be drawn ({reason})", highlight=False, soft_wrap=True)
