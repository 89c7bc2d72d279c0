"""What the JSON file of every table and figure says besides its numbers: command, corpora, date and versions."""

import datetime
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.results import describe_corpus, describe_machine
from experiments.study import Study
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_json


def describe_evidence(kind: str, title: str, study: Study, corpora: Sequence[str]) -> dict[str, Any]:
    """The head of a JSON file under results/.

    Args:
        kind: table or figure.
        title: above it.
        study: that trained.
        corpora: that were used.

    Returns:
        Plain values; paths of the machine are left out.
    """
    described = {name: describe_corpus(study.corpus(name), None) for name in corpora}
    return {
        "schema": f"macsgr_jax.{kind}/1",
        "title": title,
        "command": f"python -m experiments.{Path(sys.argv[0]).stem} {shlex.join(sys.argv[1:])}",
        "date": datetime.date.today().isoformat(),
        "seeds": study.seeds,
        "settings": {name: list(study.settings(name)) for name in corpora},
        "corpora": {
            name: {key: corpus[key] for key in ("name", "sha256", "splits")} for name, corpus in described.items()
        },
        **describe_machine(),
    }


def write_evidence(path: Path, numbers: dict[str, Any]) -> None:
    """Write a JSON file under results/.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--results {path.parent} cannot be written ({error.strerror}): choose another folder"
        ) from None
    write_json(path, numbers)
