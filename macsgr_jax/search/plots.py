"""Draws a sweep: curves over one axis (the paper's Fig. 8), a heat map over two, one panel per axis over more."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from macsgr_jax.runs.plots import COLOURS, escape_math, save_figure
from macsgr_jax.runs.tables import HEADS, NOT_PERCENT

MAX_PANELS_PER_ROW = 3


def plot_sweep(points: list[dict[str, Any]], select: str, title: str, path: Path) -> None:
    """Draws the validation scores of the settings; the chosen point is marked.

    Args:
        points: the descriptions of `results.describe_points`.
        select: the score that chose, such as validation.waf1.
        title: the name of the corpus.
        path: the PNG to write.
    """
    axes_names = list(points[0]["setting"])
    score = select.removeprefix("validation.")
    grid = len(points) > 1 and _is_grid(points)
    if len(axes_names) == 1:
        figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
        _draw_curves(axes, points, list(dict.fromkeys([score, "waa", "waf1"])), axes_names[0])
    elif len(axes_names) == 2 and grid:
        figure, axes = plt.subplots(figsize=(7, 5.5), layout="constrained")
        image = _draw_map(axes, points, score, axes_names)
        figure.colorbar(image, ax=axes, label=_label(score))
    else:
        columns = min(MAX_PANELS_PER_ROW, len(axes_names))
        rows = -(-len(axes_names) // columns)
        figure, panels = plt.subplots(
            rows, columns, figsize=(4 * columns, 3.2 * rows), layout="constrained", squeeze=False, sharey=True
        )
        for panel, name in zip(panels.flat, axes_names, strict=False):
            _draw_cloud(panel, points, score, name)
        for panel in panels.flat[len(axes_names) :]:
            panel.set_visible(False)
    figure.suptitle(f"{escape_math(title)}, validation split")
    save_figure(figure, path)


def _label(score: str) -> str:
    return HEADS[score] if score in NOT_PERCENT else f"{HEADS[score]} (%)"


def _values(points: list[dict[str, Any]], score: str, part: str) -> np.ndarray:
    scale = 1 if score in NOT_PERCENT else 100
    values = [point["validation"][score][part] for point in points]
    return scale * np.array([np.nan if value is None else value for value in values], float)


def _positions(points: list[dict[str, Any]], name: str) -> tuple[np.ndarray, list[str] | None]:
    """Returns the positions of the values of a setting on an axis, and their names where they are not numbers."""
    texts = [point["setting"][name] for point in points]
    try:
        return np.array([float(text) for text in texts]), None
    except ValueError:
        names = list(dict.fromkeys(texts))
        return np.array([names.index(text) for text in texts], float), names


def _mark_ticks(axes: Axes, names: list[str] | None) -> None:
    if names is not None:
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")


def _draw_curves(axes: Axes, points: list[dict[str, Any]], scores: list[str], name: str) -> None:
    positions, names = _positions(points, name)
    order = np.argsort(positions, kind="stable")
    chosen = next(index for index, point in enumerate(points) if point["rank"] == 1)
    for score, colour, marker in zip(scores, COLOURS, "os^", strict=False):
        means, deviations = _values(points, score, "mean"), _values(points, score, "std")
        axes.errorbar(
            positions[order],
            means[order],
            deviations[order],
            color=colour,
            marker=marker,
            capsize=3,
            label=_label(score),
        )
    axes.axvline(positions[chosen], color="0.6", linestyle=":", label="chosen")
    _mark_ticks(axes, names)
    axes.set(xlabel=name, ylabel="mean ± standard deviation over seeds")
    axes.grid(alpha=0.3)
    axes.legend()


def _is_grid(points: list[dict[str, Any]]) -> bool:
    settings = {tuple(point["setting"].values()) for point in points}
    sizes = [len(set(values)) for values in zip(*settings, strict=True)]
    return len(settings) == np.prod(sizes)


def _draw_map(axes: Axes, points: list[dict[str, Any]], score: str, names: list[str]) -> Any:
    rows, columns = (list(dict.fromkeys(point["setting"][name] for point in points)) for name in names)
    values = np.full((len(rows), len(columns)), np.nan)
    for point, value in zip(points, _values(points, score, "mean"), strict=True):
        row, column = rows.index(point["setting"][names[0]]), columns.index(point["setting"][names[1]])
        values[row, column] = value
        if point["rank"] == 1:
            axes.plot(column, row, marker="*", markersize=18, color="white", markeredgecolor="black")
    image = axes.imshow(values, cmap="cividis", origin="lower", aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=names[1], ylabel=names[0], title="star: chosen")
    return image


def _draw_cloud(axes: Axes, points: list[dict[str, Any]], score: str, name: str) -> None:
    positions, names = _positions(points, name)
    values = _values(points, score, "mean")
    axes.plot(positions, values, "o", color=COLOURS[0], alpha=0.6)
    best = [index for index, point in enumerate(points) if point["rank"] == 1]
    axes.plot(
        positions[best], values[best], "*", markersize=16, color=COLOURS[5], markeredgecolor="black", label="chosen"
    )
    if names is None and positions.min() > 0 and positions.max() / positions.min() > 30:
        axes.set_xscale("log")
    _mark_ticks(axes, names)
    axes.set(xlabel=name, ylabel=_label(score))
    axes.grid(alpha=0.3)
    axes.legend()
