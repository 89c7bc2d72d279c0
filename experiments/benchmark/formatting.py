"""Figures of the benchmark as cells of tables."""

from collections.abc import Callable
from typing import Any

SCALE_HEAD = ["axis", "at", "rows x slots", "ms per step", "us per utterance", "MiB", "KiB per utterance", "compile s"]


def speed_rows(measured: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Formats the result of `measure_speed`.

    Args:
        measured: the result.

    Returns:
        Names of the columns, and rows of cells.
    """
    sides = [name for name in ("ours", "peer") if name in measured]

    def row(name: str, show: Callable[[dict[str, Any]], str]) -> list[str]:
        return [name, *(show(measured[side]) for side in sides), *([""] if "peer" in measured else [])]

    ours = measured["ours"]
    rows = [
        row("training, utterances/s", lambda side: f"{side['train']['utterances_per_second']:,.0f}"),
        row("inference, utterances/s", lambda side: f"{side['inference']['utterances_per_second']:,.0f}"),
        row("training epoch, s (min to max)", lambda side: _spread(side["train"]["epoch_seconds"])),
        row("inference, s (min to max)", lambda side: _spread(side["inference"]["epoch_seconds"])),
        row("step, ms", lambda side: f"{side['train']['step_milliseconds']:.1f}"),
        row("steps per epoch", lambda side: str(side["steps"])),
        row("padding, % of the slots", lambda side: f"{100 * side['padding_share']:.1f}"),
        _ours_alone("compilation, s", _values(ours["compile_seconds"], 1.0, ".1f"), measured),
        _ours_alone("program memory, MiB", _values(ours["program_bytes"], 2**20, ".0f"), measured),
        _ours_alone("peak memory, MiB", _values(ours["peak_bytes"], 2**20, ".0f"), measured),
    ]
    if "peer" in measured:
        for cells, part in zip(rows, ("train", "inference"), strict=False):
            ratio = measured["ratio"][part]
            cells[-1] = f"{ratio['medians']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})"
    return ["", *sides, *(["ratio of medians"] if "peer" in measured else [])], rows


def scale_row(point: dict[str, Any]) -> list[str]:
    """Formats a point as a row of cells, under SCALE_HEAD."""
    position = [point["axis"], f"{point['place']:,}", f"{point['rows_per_step']} x {point['slots']}"]
    if "skipped" in point:
        return [*position, f"skipped: {point['skipped']}", *[""] * (len(SCALE_HEAD) - len(position) - 1)]
    return [
        *position,
        f"{point['step_milliseconds']:.1f}",
        f"{point['microseconds_per_utterance']:.0f}",
        "unknown" if point["bytes"] is None else f"{point['bytes'] / 2**20:.0f}",
        "unknown" if point["bytes"] is None else f"{point['bytes_per_utterance'] / 2**10:.1f}",
        f"{point['compile_seconds']:.1f}",
    ]


def _spread(seconds: dict[str, float]) -> str:
    return f"{seconds['median']:.2f} ({seconds['least']:.2f} to {seconds['most']:.2f})"


def _values(values: dict[str, float | None], unit: float, form: str) -> str:
    return ", ".join(f"{name} {value / unit:{form}}" for name, value in values.items() if value is not None)


def _ours_alone(name: str, value: str, measured: dict[str, Any]) -> list[str]:
    return [name, value, *(["", ""] if "peer" in measured else [])]
