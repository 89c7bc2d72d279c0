"""The command `macsgr view`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from macsgr_jax.cli.common import make_console, refuse_output
from macsgr_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class View:
    """Render predicted conversations as one HTML page that needs no network connection.

    Attributes:
        predictions: JSON Lines of `macsgr predict`, one line per utterance, in order of time.
        out: The page to write.
        overwrite: Replace the page that is there.
    """

    predictions: tyro.conf.Positional[Path]
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    overwrite: bool = False


def main(command: View) -> None:
    """Reads the predictions, and writes the page."""
    from macsgr_jax.files import write_text
    from macsgr_jax.runs.tables import count_of
    from macsgr_jax.viewer import render_page
    from macsgr_jax.viewer.predictions import arrange, read_predictions

    if command.out.suffix != ".html":
        raise InputError(f"{command.out} should end in .html")
    refuse_output(command.out, command.overwrite, [command.predictions])
    conversations = read_predictions(command.predictions)
    write_text(command.out, render_page(arrange(conversations)))
    utterances = sum(map(len, conversations.values()))
    make_console().print(
        f"wrote {command.out}: {count_of(len(conversations), 'conversation')}, {count_of(utterances, 'utterance')}",
        soft_wrap=True,
    )
