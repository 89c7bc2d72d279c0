"""Configurations as text: lists settings, replaces them one by one, and converts to and from JSON."""

import dataclasses
import difflib
from collections.abc import Iterator, Sequence
from typing import Any, get_type_hints

import pydantic

from macsgr_jax.config import Config
from macsgr_jax.errors import InputError, quote


def setting_names(config: Config) -> Iterator[tuple[str, Any, Any]]:
    """Yields every setting as (dotted name, type, value), in the order of the classes in config.py."""
    for section in dataclasses.fields(config):
        values = getattr(config, section.name)
        types = get_type_hints(type(values), include_extras=True)
        for field in dataclasses.fields(values):
            yield f"{section.name}.{field.name}", types[field.name], getattr(values, field.name)


def override(config: Config, assignments: Sequence[str]) -> Config:
    """Replaces some settings of a configuration.

    Args:
        config: the configuration to start from.
        assignments: strings such as "model.window_past=5"; a tuple's members are separated by commas.

    Returns:
        A new configuration.

    Raises:
        InputError: an assignment without "=", an unknown setting, or a value that does not fit.
    """
    types = {name: kind for name, kind, _ in setting_names(config)}
    changes: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals:
            raise InputError(f"--set {quote(assignment)}: write it as NAME=VALUE, such as model.window_past=5")
        if name not in types:
            near = difflib.get_close_matches(name[:100], types, n=3)
            near = near or [known for known in types if name and name in known]
            hint = f"did you mean {' or '.join(near)}?" if near else "--help lists all of them"
            raise InputError(f"--set {quote(assignment)}: there is no setting {quote(name)}; {hint}")
        section, field = name.split(".")
        changes.setdefault(section, {})[field] = _convert(name, text.strip(), types[name])
    # All at once: sizes and heads may fit each other only together.
    sections = {name: dataclasses.replace(getattr(config, name), **values) for name, values in changes.items()}
    return dataclasses.replace(config, **sections)


def _convert(name: str, text: str, kind: Any) -> Any:
    adapter = pydantic.TypeAdapter(kind)
    try:
        if isinstance(getattr(kind, "__origin__", None), type) and issubclass(kind.__origin__, tuple):
            return adapter.validate_python(tuple(part.strip() for part in text.split(",") if part.strip()))
        return adapter.validate_strings(text)
    except pydantic.ValidationError as error:
        raise InputError(f"--set {name}={quote(text)}: {quote(error.errors()[0]['msg'].lower())}") from None


def to_json(config: Config) -> dict[str, Any]:
    """Converts a configuration to nested dictionaries of plain values."""
    plain: dict[str, Any] = pydantic.TypeAdapter(Config).dump_python(config, mode="json")
    return plain


# Settings that had another name in version 0.1.
RENAMED = {
    "data": {"validation_share": "validation_fraction"},
    "model": {"least_std": "min_std", "skip": "classifier_skip"},
    "loss": {"gate": "gate_positives"},
    "train": {"least_learning_rate": "min_learning_rate", "decay": "weight_decay_mode"},
}

# What a stored configuration without these settings, which earlier versions did not have, was trained with.
ADDED: dict[str, dict[str, Any]] = {"model": {"max_std": 0.0}}


def from_json(values: dict[str, Any]) -> Config:
    """Converts what `to_json` returned, in this version or an earlier one, to a configuration.

    Raises:
        InputError: a field is unknown, missing its type, or out of range.
    """
    if isinstance(values, dict) and all(isinstance(section, str) for section in values):
        values = {section: _complete(section, fields) for section, fields in values.items()}
    try:
        return pydantic.TypeAdapter(Config).validate_python(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"the stored configuration does not fit this version: {where}: {first['msg'].lower()}"
        ) from None


def _complete(section: str, fields: Any) -> Any:
    """Completes a section that an earlier version stored; one that a person wrote may have a few fields alone."""
    if not isinstance(fields, dict):
        return fields
    names, added = RENAMED.get(section, {}), ADDED.get(section, {})
    renamed = {names.get(name, name): value for name, value in fields.items()}
    stored = added and {field.name for field in dataclasses.fields(getattr(Config(), section))} - set(added)
    return {**added, **renamed} if stored and stored <= set(renamed) else renamed
