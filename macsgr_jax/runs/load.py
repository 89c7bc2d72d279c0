"""What a run left, opened again: its settings, its scaling and its weights."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.standardize import Standardizer
from macsgr_jax.errors import InputError
from macsgr_jax.inference.predictor import Turns, Window, make_batch
from macsgr_jax.models import build_network
from macsgr_jax.overrides import from_json
from macsgr_jax.training.checkpoint import Params, load_description, load_params


class Checkpoints(NamedTuple):
    """The checkpoints of one network of a run.

    Attributes:
        folder: where they are.
        config: the settings.
        corpus: name, path, sha256 and labels of what it was trained on.
        standardizer: fitted on the training split.
        seeds: of which there are weights, ascending.
    """

    folder: Path
    config: Config
    corpus: dict[str, Any]
    standardizer: Standardizer
    seeds: tuple[int, ...]


def open_checkpoints(run: Path, network: str = "full") -> Checkpoints:
    """Open the folder that macsgr_jax.cli.train or macsgr_jax.cli.sweep left.

    Args:
        run: the folder.
        network: full, or a modality of --single-modalities.

    Raises:
        InputError: it is no such folder, is damaged or of another version, or holds no weights.
    """
    folder = run / "checkpoints" / network
    there = sorted(path.name for path in folder.parent.glob("*") if path.is_dir())
    if not there:
        raise InputError(f"{run} is not the folder of a run: give what was --out of `macsgr train`")
    if network not in there:
        raise InputError(f"{run} has no network {network}: choose from {', '.join(there)}")
    description, standardizer = load_description(folder)
    try:
        config, corpus = from_json(description["config"]), description["corpus"]
        fits = {"name", "path", "sha256", "labels"} <= set(corpus)
    except InputError as error:
        raise InputError(f"{run} was trained by another version of macsgr_jax ({error}): train it again") from None
    except (KeyError, TypeError):
        fits = False
    if not fits:
        raise InputError(f"{folder / 'description.json'} does not describe a run: train again")
    numbers = [path.name.removeprefix("seed_") for path in folder.glob("seed_*")]
    seeds = tuple(sorted(int(number) for number in numbers if number.isdecimal()))
    if not seeds:
        raise InputError(f"{folder} holds no checkpoint of any seed: train again")
    return Checkpoints(folder, config, corpus, standardizer, seeds)


def load_weights(checkpoints: Checkpoints, seed: int) -> tuple[Params, int]:
    """The weights of a seed and the epoch they are of.

    Raises:
        InputError: there are none, they are damaged, or they are of another version's network.
    """
    folder, config = checkpoints.folder, checkpoints.config
    if seed not in checkpoints.seeds:
        there = ", ".join(map(str, checkpoints.seeds))
        raise InputError(f"{folder} holds no checkpoint of seed {seed}: it has {there}; choose with --seed")
    params, epoch = load_params(folder / f"seed_{seed}", config.train.checkpoint)
    found, wanted = _list_shapes(params), _list_shapes(_make_shapes(checkpoints))
    different = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if different:
        raise InputError(
            f"{folder / f'seed_{seed}'} was trained by another version of macsgr_jax (its weights {different[0]} are"
            f" {found.get(different[0], 'absent')}, and here {wanted.get(different[0], 'absent')}): train it again"
        )
    return params, epoch


def _make_shapes(checkpoints: Checkpoints) -> Any:
    """The weights that the network has here, without their values."""
    standardizer = checkpoints.standardizer
    widths = {
        modality: sum(len(standardizer.mean[name]) for name in names)
        for modality, names in standardizer.feature_sets.items()
    }
    one = Turns(
        {modality: np.zeros((1, width), np.float32) for modality, width in widths.items()},
        {modality: np.ones(1, bool) for modality in widths},
        np.zeros(1, np.int32),
    )
    network = build_network(checkpoints.config.model, len(checkpoints.corpus["labels"]))
    return jax.eval_shape(network.init, jax.random.key(0), make_batch(one, Window(0, 1, 0, 1), 1))["params"]


def _list_shapes(params: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): tuple(leaf.shape) for path, leaf in leaves}
