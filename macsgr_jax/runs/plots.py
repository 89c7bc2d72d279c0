"""Draws the figures of a run as PNG files."""

import warnings
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from macsgr_jax.errors import quote
from macsgr_jax.files import write_atomically

DOTS_PER_INCH = 150
MAX_SIDE = 40  # Inches of a confusion matrix; matplotlib draws no more than 65,536 dots.
MAX_NUMBERED = 40  # Emotions of a confusion matrix with percents in it.
MAX_DRAWN = 60  # Characters of a name in a figure.
# Okabe and Ito's palette: distinguishable with every kind of colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")


def plot_confusion(network: dict[str, Any], labels: list[str], title: str, path: Path) -> None:
    """Draws the test confusion summed over the seeds, as fractions of each annotated emotion.

    Args:
        network: a network's part of the results file.
        labels: the C emotions.
        title: the title of the figure.
        path: the PNG to write.
    """
    counts = np.sum([seed["test"]["confusion"] for seed in network["seeds"]], axis=0)
    side = min(1.5 + 0.8 * len(labels), MAX_SIDE)
    figure, axes = plt.subplots(figsize=(side + 0.8, side), layout="constrained")
    image = draw_confusion(axes, counts, labels, title)
    figure.colorbar(image, ax=axes, label="fraction of the annotated emotion")
    save_figure(figure, path)


def draw_confusion(axes: plt.Axes, counts: np.ndarray, labels: list[str], title: str) -> Any:
    """Draws a confusion matrix as fractions of each annotated emotion, with percents in it.

    Args:
        axes: the axes to draw on.
        counts: i64[C, C], annotated by predicted.
        labels: the C emotions.
        title: the title of the axes.

    Returns:
        The image, for a colour bar.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for row, column in np.ndindex(*shares.shape) if len(labels) <= MAX_NUMBERED else ():
        colour = "black" if shares[row, column] > 0.5 else "white"
        axes.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", color=colour)
    shown = [escape_math(label) for label in labels]
    axes.set_xticks(range(len(labels)), shown, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), shown)
    if len(labels) > MAX_NUMBERED:
        axes.tick_params(labelsize=MAX_NUMBERED / len(labels) * plt.rcParams["font.size"])
    axes.set(xlabel="predicted", ylabel="annotated", title=escape_math(title))
    return image


def plot_curves(network: dict[str, Any], title: str, path: Path) -> None:
    """Draws every loss term and the validation WAF1 by epoch, one line per seed, with the chosen epoch marked.

    Args:
        network: a network's part of the results file.
        title: the title of the figure.
        path: the PNG to write.
    """
    terms = list(network["seeds"][0]["curves"])
    columns = 3
    rows = -(-len(terms) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(4 * columns, 2.8 * rows), layout="constrained", squeeze=False)
    for axes, term in zip(grid.flat, terms, strict=False):
        for index, seed in enumerate(network["seeds"]):
            values = np.asarray(seed["curves"][term]) * (100 if term == "validation_waf1" else 1)
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(np.arange(1, len(values) + 1), values, color=colour, label=f"seed {seed['seed']}")
            axes.plot(seed["epoch"], values[seed["epoch"] - 1], "o", color=colour)
        name = "validation WAF1 (%)" if term == "validation_waf1" else f"{term} loss"
        axes.set(title=name, xlabel="epoch")
        axes.grid(alpha=0.3)
    for axes in grid.flat[len(terms) :]:
        axes.set_visible(False)
    grid.flat[0].legend()
    figure.suptitle(f"{escape_math(title)} (dots: the weights that are evaluated)")
    save_figure(figure, path)


def save_figure(figure: plt.Figure, path: Path) -> None:
    """Writes a PNG and closes the figure."""
    try:
        with write_atomically(path) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Of letters that the font does not have.
            figure.savefig(temporary, dpi=DOTS_PER_INCH, metadata={"Software": None})
    finally:
        plt.close(figure)


def escape_math(name: str) -> str:
    """Returns a name as matplotlib draws it letter by letter: on one line, shortened, and without formulas."""
    return quote(name, MAX_DRAWN).replace("$", r"\$")
