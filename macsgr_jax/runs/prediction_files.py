"""Predictions as files: the ending of the path decides the form."""

import csv
import importlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from macsgr_jax import __version__
from macsgr_jax.errors import InputError
from macsgr_jax.files import escape_formula, write_atomically, write_text

FORMAT = "macsgr_jax.predictions/1"
JSON_LINES, DOCUMENT, TABLE, PARQUET = ".jsonl", ".json", ".csv", ".parquet"
PLAIN = ("conversation", "utterance", "speaker", "text", "start", "end", "emotion", "uncertainty")


def check_ending(path: Path, others: Sequence[str] = ()) -> None:
    """Checks that predictions can be written in the form that the ending of a path asks for.

    Args:
        path: the file to write.
        others: further endings that the caller knows.

    Raises:
        InputError: the ending is unknown, or the package for it is not installed.
    """
    endings = (JSON_LINES, DOCUMENT, TABLE, *others, PARQUET)
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


def write_predictions(
    path: Path,
    records: Sequence[dict[str, Any]],
    model: str = "",
    scores: dict[str, Any] | None = None,
    notices: Sequence[str] = (),
) -> None:
    """Writes predictions as JSON Lines, as one JSON document, as a table in CSV, or as Parquet.

    Args:
        path: the file, replaced if it is there.
        records: one record per utterance, of `predict.describe_prediction`.
        model: the name of the model, for the document.
        scores: the scores of `predict.score_records`, for the document.
        notices: sentences on what was repaired or could not be used, for the document.

    Raises:
        InputError: the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending == DOCUMENT:
        write_text(path, format_document(model, records, scores, notices))
    elif ending == TABLE:
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


def format_document(
    model: str, records: Sequence[dict[str, Any]], scores: dict[str, Any] | None, notices: Sequence[str]
) -> str:
    """Returns one JSON document: what was predicted, by which model, how well, and what was noticed.

    Args:
        model: the name of the model.
        records: one record per utterance.
        scores: the scores of `predict.score_records`, None where no utterance has a label.
        notices: sentences on what was repaired or could not be used.
    """
    return (
        json.dumps(make_document(model, records, scores, notices), ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    )


def make_document(
    model: str, records: Sequence[dict[str, Any]], scores: dict[str, Any] | None, notices: Sequence[str]
) -> dict[str, Any]:
    """Returns the document of `format_document` as plain values."""
    return {
        "format": FORMAT,
        "version": __version__,
        "model": model,
        "notices": list(notices),
        "scores": scores,
        "utterances": list(records),
    }


def format_table(records: Sequence[dict[str, Any]]) -> str:
    """Returns CSV: one row per record, with a column per probability, weight and modality that is there.

    The edges and the attention to other utterances have no place in a table.
    """
    head, rows = make_rows(records)
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(
        [
            ["" if cell is None else int(cell) if isinstance(cell, bool) else _as_cell(cell) for cell in row]
            for row in rows
        ]
    )
    return file.getvalue()


def _as_cell(value: Any) -> Any:
    return escape_formula(value) if isinstance(value, str) else value


def make_rows(records: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Returns the head and the rows of the table of `format_table`; None where there is no value."""
    emotions, modalities = list(records[0]["probabilities"]), list(records[0]["weights"])
    head = [*PLAIN, *(f"p_{emotion}" for emotion in emotions)]
    head += [f"{kind}_{modality}" for kind in ("weight", "available") for modality in modalities]
    rows = [
        [
            *(record[name] for name in PLAIN),
            *(record["probabilities"][emotion] for emotion in emotions),
            *(record[kind][modality] for kind in ("weights", "available") for modality in modalities),
            record.get("label"),
        ]
        for record in records
    ]
    return [*head, "label"], rows
