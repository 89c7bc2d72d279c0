"""Write a trained network as one file that runs without this package, by jax alone."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from macsgr_jax.cli.common import make_console, run_script
from macsgr_jax.inference.export import (
    MODEL_FILE,
    describe_export,
    export_function,
    make_exportable,
    refuse_occupied,
    write_export,
)
from macsgr_jax.models import build_network
from macsgr_jax.overrides import to_json
from macsgr_jax.runs.folder import TEMPERATURES_FILE
from macsgr_jax.runs.load import load_weights, open_checkpoints
from macsgr_jax.runs.model import read_temperatures
from macsgr_jax.runs.results import describe_machine


@dataclasses.dataclass(frozen=True)
class Export:
    """Write one seed's network of a run for use elsewhere: raw features in, probabilities and fusion weights out.

    Attributes:
        run: The folder that was given to macsgr_jax.cli.train as --out.
        out: The folder to make, with the model and its description.
        network: Which of the run's networks: full, or a modality of --single-modalities.
        seed: Which seed's weights.
        overwrite: Replace an earlier export.
    """

    run: tyro.conf.Positional[Path]
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    network: str = "full"
    seed: int = 0
    overwrite: bool = False


def main(command: Export) -> None:
    """Checkpoint -> function of raw features -> file."""
    refuse_occupied(command.out, command.overwrite)
    checkpoints = open_checkpoints(command.run, command.network)
    config, corpus, standardizer = checkpoints.config, checkpoints.corpus, checkpoints.standardizer
    params, epoch = load_weights(checkpoints, command.seed)
    network = build_network(config.model, len(corpus["labels"]))
    (temperature,) = read_temperatures(checkpoints.folder / TEMPERATURES_FILE, [command.seed]) or [1.0]
    function = make_exportable(params, network, standardizer, temperature)
    exported = export_function(function, standardizer)
    origin = {
        "network": command.network,
        "seed": command.seed,
        "epoch": epoch,
        "temperature": temperature,
        "corpus": {name: corpus[name] for name in ("name", "sha256")},
        "versions": describe_machine()["versions"],
        "config": to_json(config),
    }
    write_export(
        command.out, exported, describe_export(exported, standardizer, corpus["labels"]) | origin, command.overwrite
    )
    size = (command.out / MODEL_FILE).stat().st_size
    make_console().print(f"wrote {command.out}, {size / 1e6:.1f} MB", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run_script("macsgr_jax.cli.export", Export, main))
