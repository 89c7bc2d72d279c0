"""Numbers as text in the cells of tables."""

from collections.abc import Sequence

from macsgr_jax.metrics import summarize
from macsgr_jax.runs.tables import format_mean


def format_percent(values: Sequence[float]) -> str:
    """Formats fractions, one per seed, as their mean and standard deviation in percent; a single one as its value."""
    mean, deviation = summarize(values)
    return format_mean(100 * mean, 100 * deviation) if len(values) > 1 else f"{100 * mean:.1f}"


def format_number(values: Sequence[float]) -> str:
    """Formats values that are not fractions, one per seed, as their mean and standard deviation."""
    mean, deviation = summarize(values)
    return format_mean(mean, deviation, digits=2) if len(values) > 1 else f"{mean:.2f}"


def format_reported(value: float | None) -> str:
    """Formats a number of the paper, in percent; an empty cell where the paper has none."""
    return "" if value is None else f"{value:.1f}"


def format_p_value(value: float | None) -> str:
    """Formats a p value; an empty cell where there was no test."""
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
