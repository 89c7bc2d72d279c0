"""The JSON file of a table or figure: its schema, reading it, and keeping the corpora that were not asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pydantic
from pydantic import ConfigDict, NonNegativeInt, PositiveInt

from macsgr_jax.errors import InputError, quote
from macsgr_jax.files import exists, read_json
from macsgr_jax.runs.schemas import check_values

VERSION = 2  # Of every schema; docs/results.md describes it.
ADVICE = "make it again for all of its corpora, without --only, or move it away"


class MeasuredCorpus(pydantic.BaseModel):
    """The corpus that a part was computed on.

    Attributes:
        name: its name.
        sha256: its hash.
        splits: split -> its numbers of dialogues and utterances.
    """

    model_config = ConfigDict(strict=True)
    name: str
    sha256: str
    splits: dict[str, dict[str, NonNegativeInt]]


class Versions(pydantic.BaseModel):
    """The versions that the report names, and others.

    Attributes:
        python: of Python.
        jax: of JAX.
        flax: of Flax.
    """

    model_config = ConfigDict(strict=True)
    python: str
    jax: str
    flax: str


class Device(pydantic.BaseModel):
    """The device, with its platform and their number.

    Attributes:
        kind: its model.
    """

    model_config = ConfigDict(strict=True)
    kind: str


class Provenance(pydantic.BaseModel):
    """What made the part of one corpus.

    Attributes:
        command: the command, without the folders of one machine.
        date: the day, ISO 8601.
        seeds: the number of seeds per network.
        settings: the settings of all its networks that differ from the default preset.
        corpus: the corpus.
        versions: package -> version.
        device: the device.
    """

    model_config = ConfigDict(strict=True)
    command: str
    date: str
    seeds: PositiveInt
    settings: list[str]
    corpus: MeasuredCorpus
    versions: Versions
    device: Device


class StoredArtifact(pydantic.BaseModel):
    """The whole file.

    Attributes:
        title: the heading.
        remarks: lines of text under the heading.
        made: corpus -> what made its part.
        parts: corpus -> its numbers.
    """

    model_config = ConfigDict(strict=True)
    title: str
    remarks: list[str]
    made: Annotated[dict[str, Provenance], pydantic.Field(min_length=1)]
    parts: dict[str, dict[str, Any]]

    @pydantic.model_validator(mode="after")
    def _check(self) -> "StoredArtifact":
        if self.made.keys() != self.parts.keys():
            raise ValueError("made and parts are not of the same corpora")
        return self


class Kept(NamedTuple):
    """What stays of a file that is written anew.

    Attributes:
        made: corpus -> what made its part.
        parts: corpus -> its numbers.
        note: a line about it for the screen; empty where nothing is kept and nothing is lost.
    """

    made: dict[str, Any]
    parts: dict[str, Any]
    note: str


def name_schema(kind: str) -> str:
    """Returns the value of `schema` of a kind of table or figure, such as protocol."""
    return f"macsgr_jax.{kind}/{VERSION}"


def read_artifact(path: Path) -> dict[str, Any]:
    """Reads the JSON file of a table or figure.

    Args:
        path: the file.

    Returns:
        Its contents.

    Raises:
        InputError: it cannot be read, is damaged, or has the schema of another version.
    """
    values = read_json(path, ADVICE)
    schema = str(values.get("schema")) if isinstance(values, dict) else ""
    if isinstance(values, dict) and not schema.endswith(f"/{VERSION}"):
        raise InputError(f"{path} has the schema {quote(schema)}, and version {VERSION} is needed: {ADVICE}")
    check_values(values, StoredArtifact, path, ADVICE)
    artifact: dict[str, Any] = values
    return artifact


def read_kept(path: Path, kind: str, covered: Sequence[str], wanted: Sequence[str], drawn: Sequence[str] = ()) -> Kept:
    """Reads what an earlier command wrote about the corpora that are not asked for.

    Args:
        path: the JSON file of a table or figure; it need not exist.
        kind: the name of its schema.
        covered: names of the corpora that the table or figure covers.
        wanted: names of the corpora that are computed anew.
        drawn: names of values that its picture shows and the file does not have.

    Returns:
        The parts to keep, in the order of the file, and a line about them.

    Raises:
        InputError: the file cannot be read and may hold others than the wanted corpora, or is of another table, or its
            picture cannot be drawn again from it.
    """
    if not exists(path):
        return Kept({}, {}, "")
    try:
        stored = read_artifact(path)
    except InputError:
        if set(covered) <= set(wanted):
            return Kept({}, {}, f"replaced {path}, which was damaged or had the schema of another version")
        raise
    if stored["schema"] != name_schema(kind):
        schema = quote(stored["schema"])
        raise InputError(f"{path} has the schema {schema} of another table: give another folder as --results")
    others = [name for name in stored["parts"] if name not in wanted]
    kept = [name for name in others if name in covered]
    if kept and drawn:
        raise InputError(
            f"{path} holds {', '.join(kept)} too, but not the {' and '.join(drawn)} that its picture shows: add"
            f" {','.join(kept)} to --only, or give another folder as --results"
        )
    made = {name: stored["made"][name] for name in kept}
    dated = ", ".join(f"{name} ({of_corpus['date']})" for name, of_corpus in made.items())
    notes = [f"kept from before: {dated}"] if kept else []
    if len(kept) < len(others):
        lost = ", ".join(name for name in others if name not in covered)
        notes.append(f"left out, since it is no longer covered: {lost}")
    return Kept(made, {name: stored["parts"][name] for name in kept}, "; ".join(notes))
