"""Predictions as files: the ending of the path decides the form."""

import csv
import importlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from macsgr_jax.errors import InputError
from macsgr_jax.files import escape_formula, write_atomically, write_text

JSON_LINES, TABLE, PARQUET = ".jsonl", ".csv", ".parquet"
PLAIN = ("conversation", "utterance", "speaker", "text", "start", "end", "emotion", "uncertainty")


def check_ending(path: Path, others: Sequence[str] = ()) -> None:
    """Checks that predictions can be written in the form that the ending of a path asks for.

    Args:
        path: the file to write.
        others: further endings that the caller knows.

    Raises:
        InputError: the ending is unknown, or the package for it is not installed.
    """
    endings = (JSON_LINES, TABLE, *others, PARQUET)
    if path.suffix.lower() not in endings:
        raise InputError(f"{path} should end in {', '.join(endings[:-1])} or {endings[-1]}, which decides its form")
    if path.suffix.lower() == PARQUET:
        try:
            for name in ("pyarrow", "pyarrow.parquet"):
                importlib.import_module(name)
        except ImportError:
            raise InputError(
                f"{path} needs the package pyarrow: pip install pyarrow, or write .jsonl or .csv"
            ) from None


def write_predictions(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Writes predictions as JSON Lines, as a table in CSV, or as Parquet.

    Args:
        path: the file, replaced if it is there.
        records: one record per utterance, of `predict.describe_prediction`.

    Raises:
        InputError: the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending == TABLE:
        write_text(path, format_table(records))
    elif ending == PARQUET:
        pyarrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
        with write_atomically(path) as temporary:
            parquet.write_table(pyarrow.Table.from_pylist(list(records)), temporary)
    else:
        write_text(path, format_json_lines(records))


def format_json_lines(records: Sequence[dict[str, Any]]) -> str:
    """Returns one line of JSON per record."""
    return "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)


def format_table(records: Sequence[dict[str, Any]]) -> str:
    """Returns CSV: one row per record, with a column per probability, weight and modality that is there.

    The edges and the attention to other utterances have no place in a table.
    """
    emotions, modalities = list(records[0]["probabilities"]), list(records[0]["weights"])
    head = [*PLAIN, *(f"p_{emotion}" for emotion in emotions)]
    head += [f"{kind}_{modality}" for kind in ("weight", "available") for modality in modalities]
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*head, "label"])
    for record in records:
        plain = ["" if record[name] is None else _as_cell(record[name]) for name in PLAIN]
        probabilities = [record["probabilities"][emotion] for emotion in emotions]
        weights = [record["weights"][modality] for modality in modalities]
        available = [int(record["available"][modality]) for modality in modalities]
        writer.writerow([*plain, *probabilities, *weights, *available, _as_cell(record.get("label", ""))])
    return file.getvalue()


def _as_cell(value: Any) -> Any:
    return escape_formula(value) if isinstance(value, str) else value
