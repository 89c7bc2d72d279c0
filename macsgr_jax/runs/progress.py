"""The progress of a training: a bar on a terminal, a line now and then in a log file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from macsgr_jax.losses import TERMS
from macsgr_jax.training.loop import EpochReport

LINES_WITHOUT_TERMINAL = 10


@contextmanager
def show_progress(console: Console, title: str, epochs: int) -> Iterator[Callable[[EpochReport], None]]:
    """Yields what to call after every epoch."""
    if not console.is_terminal:
        every = max(1, epochs // LINES_WITHOUT_TERMINAL)

        def print_line(report: EpochReport) -> None:
            if report.epoch % every == 0 or report.epoch == epochs:
                line = f"{title} epoch {report.epoch}/{epochs} {_describe(report)}"
                console.print(line, highlight=False, soft_wrap=True)

        yield print_line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[terms]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(title, total=epochs, terms="compiling")
        yield lambda report: progress.update(bar, completed=report.epoch, terms=_describe(report))


def _describe(report: EpochReport) -> str:
    """Loss terms and validation score, averaged over the runs."""
    terms = " ".join(f"{name} {np.mean(report.terms[name]):.3f}" for name in TERMS)
    waf1 = 100 * report.validation["waf1"]
    spread = "" if len(waf1) == 1 else f" ({waf1.min():.1f} to {waf1.max():.1f})"
    return f"{terms} | validation WAF1 {waf1.mean():.1f}{spread}"
