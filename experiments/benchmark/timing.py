"""Times functions in turns, so that all of them meet the same state of the machine, and summarizes the seconds."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

STATISTICS = Path("/proc/stat")


def interleave(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Calls every function once to warm it up, then `rounds` times in turns.

    Args:
        functions: name -> a function that returns when its work is done.
        rounds: the number of measured calls.

    Returns:
        Name -> f64[rounds], seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def summarize_seconds(seconds: np.ndarray) -> dict[str, float]:
    """Returns the median, the minimum (`least`) and the maximum (`most`) of some times."""
    return {"median": float(np.median(seconds)), "least": float(seconds.min()), "most": float(seconds.max())}


def compare_seconds(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Computes by which factor ours is faster than theirs.

    Args:
        ours: f64[rounds], seconds.
        theirs: f64[rounds], seconds of the same rounds.

    Returns:
        The ratio of the medians; the minimum and the maximum of the rounds' ratios; the ratio of the fastest rounds,
        which other programs on the machine disturb least.
    """
    rounds = theirs / ours
    return {
        "medians": float(np.median(theirs) / np.median(ours)),
        "least": float(rounds.min()),
        "most": float(rounds.max()),
        "quickest": float(theirs.min() / ours.min()),
    }


class OtherWork:
    """Measures the number of cores that other programs keep busy on average while a block runs (Linux).

    Attributes:
        cores: the number of cores, after the block; None where the system does not report it.
    """

    cores: float | None = None

    def __enter__(self) -> "OtherWork":
        self._start = _read_clocks()
        return self

    def __exit__(self, *_: object) -> None:
        passed = [after - before for after, before in zip(_read_clocks(), self._start, strict=True)]
        if len(passed) == 3 and passed[0] > 0:
            wall, own, all_programs = passed
            self.cores = max(0.0, (all_programs - own) / wall)


def _read_clocks() -> tuple[float, ...]:
    """Reads the seconds of the wall clock, of all cores on this process and, if known, of all cores on any process."""
    clocks = (time.perf_counter(), time.process_time())
    if not STATISTICS.is_file():
        return clocks
    # cpu user nice system idle iowait irq softirq ..., in ticks
    ticks = [int(word) for word in STATISTICS.read_text().split("\n", 1)[0].split()[1:8]]
    return (*clocks, (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"))
