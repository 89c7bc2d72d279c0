"""Ablates each ambiguous detail of the paper: does it matter how it is read?"""

import dataclasses
import sys
from typing import Any

from experiments.paper.artifact import Table, run_table
from experiments.paper.comparison import REMARKS, compare_with_full
from experiments.paper.reported_numbers import SCORES
from experiments.paper.study import NetworkCache, StudyOptions
from experiments.paper.variants import CORPORA, FULL, list_differences
from macsgr_jax.cli.common import run_script
from macsgr_jax.presets import DEFAULT, LITERAL

# Details that the paper leaves open, each with another choice than the default.
OPEN_DETAILS = {
    "omega by 1 / sigma": ("model.uncertainty=inverse",),
    "window 5 + 5": ("model.window_past=5", "model.window_future=5"),
    "sigma from 0.7": ("model.initial_std=0.7",),
    "no gate S > 1": ("loss.gate_positives=false",),
    "Sinkhorn 20 times": ("loss.sinkhorn_iterations=20",),
    "prototypes free at once": ("loss.prototype_frozen_epochs=0",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ambiguities(StudyOptions):
    """Train the network with each ambiguous detail of the paper read in another way, and compare."""


def main(command: Ambiguities) -> None:
    """Makes ambiguities.json and ambiguities.md."""
    run_table(AMBIGUITIES, command)


def list_ambiguities() -> dict[str, tuple[str, ...]]:
    """Returns each setting of network and losses that the literal preset changes, and each detail left open."""
    printed = {
        f"{name.split('.')[1]} = {value}": (f"{name}={value}",)
        for name, value in list_differences(LITERAL, DEFAULT).items()
        if not name.startswith("train.")
    }
    return printed | OPEN_DETAILS


def compare_ambiguities(cache: NetworkCache, corpus: str) -> dict[str, Any]:
    """Computes a table with one row per ambiguous detail."""
    return compare_with_full(cache, corpus, list_ambiguities(), {FULL: SCORES[corpus][FULL]})


AMBIGUITIES = Table(
    name="ambiguities",
    title="Ambiguous details of the paper",
    corpora=CORPORA,
    compute=compare_ambiguities,
    remarks=REMARKS,
)


if __name__ == "__main__":
    sys.exit(run_script("experiments.ambiguities", Ambiguities, main))
