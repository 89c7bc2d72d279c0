"""Weights on disk: the best and the last of every seed, and what is needed to use them. The only importer of orbax.

FOLDER/description.json   corpus, configuration, label names, feature sets
FOLDER/standardizer.npz   the scaling fitted on the training split
FOLDER/seed_0/            orbax checkpoints, one a kept epoch
"""

import json
import os
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from macsgr_jax.data.standardize import Standardizer
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_json, write_npz

Params = dict[str, Any]


def _validation_waf1(metrics: dict[str, float]) -> float:
    return metrics["waf1"]


def _open_manager(folder: Path) -> ocp.CheckpointManager:
    # `max_to_keep` with a `best_fn` would drop the latest step: policies keep both.
    policy = preservation_policy.AnyPreservationPolicy(
        [preservation_policy.LatestN(1), preservation_policy.BestN(n=1, get_metric_fn=_validation_waf1)]
    )
    options = ocp.CheckpointManagerOptions(best_fn=_validation_waf1, best_mode="max", preservation_policy=policy)
    return ocp.CheckpointManager(folder.absolute(), options=options)


class SeedCheckpoints:
    """The checkpoints of one seed while it trains: a context manager that waits for its writes on leaving."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Open `folder`/seed_N, made if need be."""
        self._manager = _open_manager(folder / f"seed_{seed}")

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the writes under way."""
        self._manager.close()

    def save(self, epoch: int, params: Params, validation_waf1: float) -> None:
        """Write weights in the background.

        Args:
            epoch: from 1.
            params: the weights; copied, so that the caller may donate its buffers.
            validation_waf1: by which the best is kept, between 0 and 1.
        """
        copied = jax.tree.map(np.array, params)
        self._manager.save(epoch, args=ocp.args.StandardSave(copied), metrics={"waf1": validation_waf1})


def load_params(folder: Path, seed: int, which: Literal["best", "last"]) -> tuple[Params, int]:
    """The weights of one seed and the epoch they are of.

    Args:
        folder: the checkpoints of a run.
        seed: which seed.
        which: of the best validation WAF1, or the last.

    Returns:
        Weights and epoch.

    Raises:
        InputError: there is no such checkpoint, or it cannot be read.
    """
    place = folder / f"seed_{seed}"
    if not place.is_dir():
        raise InputError(f"{place} does not exist: there is no checkpoint of seed {seed}")
    epoch, params = None, {}
    try:
        with _open_manager(place) as manager:
            if not all(manager.metrics(step) for step in manager.all_steps()):
                raise ValueError("a validation WAF1 is missing")  # Orbax would take another epoch for the best.
            epoch = manager.best_step() if which == "best" else manager.latest_step()
            if epoch is not None:
                params = manager.restore(epoch, args=ocp.args.StandardRestore())
    except (ValueError, OSError, KeyError) as error:
        # Orbax's own first line can go on for pages.
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"a checkpoint in {place} cannot be read ({first}): train again") from None
    if epoch is None:
        raise InputError(f"{place} holds no finished checkpoint: train again")
    return params, epoch


def save_description(folder: Path, description: dict[str, Any], standardizer: Standardizer) -> None:
    """Write what is needed to use the weights.

    Args:
        folder: the checkpoints of a run; made if need be.
        description: plain values.
        standardizer: the scaling.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "description.json", description)
    write_npz(folder / "standardizer.npz", standardizer.to_arrays())


def load_description(folder: Path) -> tuple[dict[str, Any], Standardizer]:
    """What `save_description` wrote.

    Raises:
        InputError: a file is missing or damaged.
    """
    path = folder / "description.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        path = folder / "standardizer.npz"
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            standardizer = Standardizer.from_arrays(dict(arrays))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: {os.fspath(folder)} is not the checkpoint folder of a run") from None
    except (ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}): train again") from None
    return description, standardizer
