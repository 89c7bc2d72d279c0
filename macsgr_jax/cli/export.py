"""The command `macsgr export`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from macsgr_jax.cli.common import make_console


@dataclasses.dataclass(frozen=True)
class Export:
    """Write the network of one seed for use without this package: raw features in, probabilities and weights out.

    Attributes:
        run: The folder that was given to `macsgr train` or `macsgr sweep` as --out.
        out: The folder to make, with the model and its description.
        network: Which of the run's networks: full, or a modality of --single-modalities.
        seed: The seed whose weights are exported.
        overwrite: Replace an earlier export.
    """

    run: tyro.conf.Positional[Path]
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    network: str = "full"
    seed: int = 0
    overwrite: bool = False


def main(command: Export) -> None:
    """Exports, and prints the size of the file."""
    from macsgr_jax.inference.export import MODEL_FILE
    from macsgr_jax.runs.export import export_run

    export_run(command.run, command.out, network=command.network, seed=command.seed, overwrite=command.overwrite)
    size = (command.out / MODEL_FILE).stat().st_size
    make_console().print(f"wrote {command.out}, {size / 1e6:.1f} MB", soft_wrap=True)
