"""The doubtful places of the paper, one at a time: does it matter how they are read?"""

import dataclasses
import sys
from typing import Any

from experiments.paper.artifact import measure, publish
from experiments.paper.reported_numbers import SCORES
from experiments.paper.study import Study, StudyOptions
from experiments.paper.variants import FULL
from experiments.tables import REMARKS, compare_with_full
from macsgr_jax.cli.common import run_script
from macsgr_jax.config import Config
from macsgr_jax.overrides import setting_names
from macsgr_jax.presets import LITERAL

CORPORA = ("iemocap", "meld", "mosi")

# What the paper leaves open, besides what it prints otherwise: another answer to each.
OPEN = {
    "omega by 1 / sigma": ("model.uncertainty=inverse",),
    "window 5 + 5": ("model.window_past=5", "model.window_future=5"),
    "sigma from 0.7": ("model.initial_std=0.7",),
    "no gate S > 1": ("loss.gate_positives=false",),
    "Sinkhorn 20 times": ("loss.sinkhorn_iterations=20",),
    "prototypes free at once": ("loss.prototype_frozen_epochs=0",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Readings(StudyOptions):
    """Train the network with one doubtful place of the paper read otherwise, each in turn, and compare."""


def main(command: Readings) -> None:
    """Networks -> scores and tests -> readings.json -> readings.md."""
    study = Study(command)
    readings = list_readings()

    def compare(study: Study, corpus: str) -> dict[str, Any]:
        return compare_with_full(study, corpus, readings, {FULL: SCORES[corpus][FULL]})

    numbers = measure(study, study.choose(CORPORA), "table", "Readings of the paper", compare)
    publish(study.results, "readings", numbers, REMARKS)


def list_readings() -> dict[str, tuple[str, ...]]:
    """Each setting of network and losses that the literal preset changes, alone, and the places left open."""
    ours = {name: value for name, _, value in setting_names(Config())}
    printed = {
        f"{name.split('.')[1]} = {str(value).lower()}": (f"{name}={str(value).lower()}",)
        for name, _, value in setting_names(LITERAL)
        if value != ours[name] and not name.startswith("train.")
    }
    return printed | OPEN


if __name__ == "__main__":
    sys.exit(run_script("experiments.ambiguities", Readings, main))
