"""Exports the network of a run."""

from pathlib import Path
from typing import Any

from macsgr_jax import __version__
from macsgr_jax.inference.export import (
    describe_export,
    export_function,
    make_exportable,
    refuse_occupied,
    write_export,
)
from macsgr_jax.models import build_network
from macsgr_jax.overrides import to_json
from macsgr_jax.runs.load import load_weights, open_checkpoints, read_temperatures
from macsgr_jax.runs.results import describe_machine


def export_run(
    run: Path, out: Path, *, network: str = "full", seed: int = 0, overwrite: bool = False
) -> dict[str, Any]:
    """Writes the network of one seed of a run as one file that jax alone runs, with its description.

    Args:
        run: the folder of the run.
        out: the folder to make.
        network: full, or a modality of `single_modalities`.
        seed: the seed whose weights are exported.
        overwrite: whether to replace an earlier export.

    Returns:
        The description, as it is written.

    Raises:
        InputError: the folder is not that of a run, or `out` cannot be written.
    """
    refuse_occupied(out, overwrite)
    checkpoints = open_checkpoints(run, network)
    config, corpus, standardizer = checkpoints.config, checkpoints.corpus, checkpoints.standardizer
    params, epoch = load_weights(checkpoints, seed)
    (temperature,) = read_temperatures(checkpoints, [seed]) or [1.0]
    module = build_network(config.model, len(corpus["labels"]))
    exported = export_function(make_exportable(params, module, standardizer, temperature), standardizer)
    description = describe_export(exported, standardizer, corpus["labels"]) | {
        "version": __version__,
        "network": network,
        "seed": seed,
        "epoch": epoch,
        "temperature": temperature,
        "corpus": {name: corpus[name] for name in ("name", "sha256")},
        "versions": describe_machine()["versions"],
        "config": to_json(config),
    }
    write_export(out, exported, description, overwrite)
    return description
