"""Draws the paper's figures from their numbers, one column per corpus."""

import textwrap
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from macsgr_jax.runs.plots import COLOURS, draw_confusion, save_figure
from macsgr_jax.runs.tables import count_of

MARKERS = "os^Dv*P"


def draw_confusions(artifact: dict[str, Any], path: Path) -> None:
    """Draws Fig. 4: one confusion matrix per corpus."""
    figure, grid = _open(artifact, 5.2, 5.0)
    for axes, (corpus, part) in zip(grid, artifact["parts"].items(), strict=True):
        draw_confusion(axes, np.array(part["confusion"]), part["labels"], _name(artifact, corpus))
    _close(figure, artifact, "% of each annotated emotion, summed over the seeds", path)


def draw_alignments(artifact: dict[str, Any], path: Path) -> None:
    """Draws Fig. 5: one bar per combination, from the fewest alignments to all."""
    figure, grid = _open(artifact, 4.6, 3.6)
    for axes, (corpus, part) in zip(grid, artifact["parts"].items(), strict=True):
        networks = part["networks"]
        names = sorted(networks, key=lambda name: (name == "full", name != "none", name.count("+")))
        means, deviations = _spread([networks[name]["waf1"] for name in names])
        colours = [COLOURS[5] if name == "full" else COLOURS[0] for name in names]
        axes.bar(range(len(names)), means, yerr=deviations, color=colours, capsize=3)
        labels = ["IA+PA+LSA" if name == "full" else name for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=45, ha="right")
        low, high = (means - deviations).min(), (means + deviations).max()
        margin = max(1.0, 0.3 * (high - low))
        axes.set(ylim=(low - margin, high + margin / 2), ylabel="WAF1 (%), axis cut", title=_name(artifact, corpus))
        axes.grid(axis="y", alpha=0.3)
    _close(figure, artifact, "mean and standard deviation over the seeds", path)


def draw_fusion(artifact: dict[str, Any], path: Path) -> None:
    """Draws Fig. 6: one group of bars per emotion, and one for WAF1."""
    figure, grid = _open(artifact, 6.4, 3.6)
    for axes, (corpus, part) in zip(grid, artifact["parts"].items(), strict=True):
        groups = list(part["networks"]["full"])
        width = 0.8 / len(part["networks"])
        for index, (name, scores) in enumerate(part["networks"].items()):
            means, deviations = _spread([scores[group] for group in groups])
            position = np.arange(len(groups)) + (index - 1) * width
            axes.bar(position, means, width, yerr=deviations, label=name, color=COLOURS[(1, 4, 0)[index]], capsize=2)
        axes.set_xticks(range(len(groups)), groups, rotation=45, ha="right")
        axes.set(ylabel="F1 (%)", title=_name(artifact, corpus))
        axes.grid(axis="y", alpha=0.3)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(part["networks"]))
    _close(figure, artifact, "mean and standard deviation over the seeds", path)


def draw_nodes(artifact: dict[str, Any], path: Path) -> None:
    """Draws Fig. 7: one row per corpus, one column per stage."""
    parts = artifact["parts"]
    figure, grid = plt.subplots(len(parts), 4, figsize=(15, 3.9 * len(parts)), layout="constrained", squeeze=False)
    for row, (corpus, part) in zip(grid, parts.items(), strict=True):
        for axes, (stage, dots) in zip(row, part["dots"].items(), strict=True):
            for label, emotion in enumerate(part["labels"]):
                chosen = dots[part["dots_labels"] == label]
                colour, marker = COLOURS[label % len(COLOURS)], MARKERS[label % len(MARKERS)]
                axes.scatter(*chosen.T, s=9, color=colour, marker=marker, linewidths=0, alpha=0.7, label=emotion)
            measured = part["stages"][stage]
            silhouette, purity = (np.mean(measured[name]) for name in ("silhouette", "purity"))
            axes.set_title(f"{stage}\nsilhouette {silhouette:.3f}, 10-NN purity {100 * purity:.1f} %", fontsize=9)
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(f"{_name(artifact, corpus)} (chance purity {100 * part['chance_purity']:.1f} %)")
        row[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)
    _close(figure, artifact, "dots: seed 0; figures: mean over the seeds", path)


def draw_lambdas(artifact: dict[str, Any], path: Path) -> None:
    """Draws Fig. 8: WAA and WAF1 by lambda, with bands of one standard deviation."""
    figure, grid = _open(artifact, 4.2, 3.4)
    for axes, (corpus, part) in zip(grid, artifact["parts"].items(), strict=True):
        for score, colour, marker in (("waa", COLOURS[1], "s"), ("waf1", COLOURS[0], "o")):
            means, deviations = _spread(part[score])
            axes.plot(part["lambdas"], means, marker=marker, color=colour, label=score.upper())
            axes.fill_between(part["lambdas"], means - deviations, means + deviations, color=colour, alpha=0.2)
        axes.set(xlabel="lambda", ylabel="%", title=_name(artifact, corpus))
        axes.grid(alpha=0.3)
    grid[0].legend()
    _close(figure, artifact, "mean and standard deviation over the seeds", path)


def draw_calibration(artifact: dict[str, Any], path: Path) -> None:
    """Draws reliability above, and accuracy of the most confident fraction of the utterances below."""
    parts = artifact["parts"]
    figure, grid = plt.subplots(2, len(parts), figsize=(4.2 * len(parts), 7), layout="constrained", squeeze=False)
    for (above, below), (corpus, part) in zip(grid.T, parts.items(), strict=True):
        points = part["reliability"]
        confidence, accuracy = ([100 * point[name] for point in points] for name in ("confidence", "accuracy"))
        above.plot([0, 100], [0, 100], color="0.6", linestyle="--", label="calibrated")
        above.plot(confidence, accuracy, "o-", color=COLOURS[0], label="network")
        above.set(xlabel="confidence (%)", ylabel="accuracy (%)", title=_name(artifact, corpus))
        means, deviations = _spread(part["accuracy"])
        coverage = 100 * np.array(part["coverage"])
        below.plot(coverage, means, "o-", color=COLOURS[0])
        below.fill_between(coverage, means - deviations, means + deviations, color=COLOURS[0], alpha=0.2)
        below.set(xlabel="most confident fraction of the utterances (%)", ylabel="accuracy (%)")
        for axes in (above, below):
            axes.grid(alpha=0.3)
    grid[0, 0].legend()
    _close(figure, artifact, "above: all seeds together; below: mean and standard deviation over the seeds", path)


def draw_noise(artifact: dict[str, Any], path: Path) -> None:
    """Draws WAF1 above and fusion weight below, by the noise on each modality."""
    parts = artifact["parts"]
    figure, grid = plt.subplots(2, len(parts), figsize=(4.2 * len(parts), 7), layout="constrained", squeeze=False)
    for column, (corpus, part) in zip(grid.T, parts.items(), strict=True):
        for axes, score in zip(column, ("waf1", "weight"), strict=True):
            for index, (modality, scores) in enumerate(part["modalities"].items()):
                means, deviations = _spread(scores[score][: len(part["noise"])])  # The last one is without it.
                axes.errorbar(
                    part["noise"], means, deviations, color=COLOURS[index], marker=MARKERS[index], label=modality
                )
            axes.grid(alpha=0.3)
        low, high = column[1].get_ylim()
        if high - low < 4:  # Constant weights should look constant.
            column[1].set_ylim((low + high) / 2 - 2, (low + high) / 2 + 2)
        column[0].set(ylabel="WAF1 (%)", title=_name(artifact, corpus))
        column[1].set(xlabel="noise on this modality (deviations)", ylabel="its fusion weight (%)")
        column[0].legend()
    _close(figure, artifact, "mean and standard deviation over the seeds", path)


def draw_gradients(artifact: dict[str, Any], path: Path) -> None:
    """Draws the norm of the whole gradient at every step, one line per seed, and the validation score by epoch."""
    parts = artifact["parts"]
    figure, grid = plt.subplots(2, len(parts), figsize=(7 * len(parts), 6.4), layout="constrained", squeeze=False)
    for (above, below), (corpus, part) in zip(grid.T, parts.items(), strict=True):
        for index, (name, reading) in enumerate(part["readings"].items()):
            for seed, (whole, validation) in enumerate(zip(reading["whole"], reading["validation"], strict=True)):
                style = {"color": COLOURS[index], "alpha": 0.7, "label": name if seed == 0 else None}
                above.plot(np.arange(len(whole)) * len(validation) / len(whole), whole, linewidth=0.8, **style)
                below.plot(range(1, len(validation) + 1), 100 * np.array(validation), marker=MARKERS[index], **style)
        above.set(yscale="log", ylabel="norm of the gradient", xlabel="epoch", title=_name(artifact, corpus))
        below.set(ylabel="validation WAF1 (%)", xlabel="epoch")
        for axes in (above, below):
            axes.grid(alpha=0.3)
        above.legend()
    _close(figure, artifact, "one line per seed", path)


def describe_seeds(artifact: dict[str, Any]) -> str:
    """Returns the number of seeds, once where all corpora have the same one, and otherwise of each corpus."""
    seeds = {corpus: count_of(made["seeds"], "seed") for corpus, made in artifact["made"].items()}
    if len(set(seeds.values())) == 1:
        return next(iter(seeds.values()))
    return ", ".join(f"{_name(artifact, corpus)} {count}" for corpus, count in seeds.items())


def _open(artifact: dict[str, Any], width: float, height: float) -> tuple[plt.Figure, np.ndarray]:
    columns = len(artifact["parts"])
    figure, grid = plt.subplots(1, columns, figsize=(width * columns, height), layout="constrained", squeeze=False)
    return figure, grid[0]


def _close(figure: plt.Figure, artifact: dict[str, Any], remark: str, path: Path) -> None:
    title = f"{artifact['title']}\n{describe_seeds(artifact)}; {remark}"
    # At a size of ten points, a letter is about a fourteenth of an inch wide.
    width = int(14 * figure.get_figwidth())
    figure.suptitle("\n".join(textwrap.fill(line, width) for line in title.split("\n")), fontsize=10)
    save_figure(figure, path)


def _name(artifact: dict[str, Any], corpus: str) -> str:
    name: str = artifact["made"][corpus]["corpus"]["name"]
    return name.upper()


def _spread(values: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns means and sample standard deviations over the seeds of several networks, in percent."""
    table = 100 * np.array(values)
    return table.mean(axis=1), table.std(axis=1, ddof=1) if table.shape[1] > 1 else np.zeros(len(table))
