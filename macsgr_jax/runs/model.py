"""A trained run as something that answers: its networks, its scaling, and how its features were made."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.data.standardize import Standardizer, standardize
from macsgr_jax.errors import InputError
from macsgr_jax.features.registry import TEXT_SENTENCE, check_extractor
from macsgr_jax.inference.predictor import Predictor, Turns
from macsgr_jax.runs.folder import TEMPERATURES_FILE
from macsgr_jax.runs.load import load_weights, open_checkpoints
from macsgr_jax.training.checkpoint import load_extractors


class Model(NamedTuple):
    """A trained run.

    Attributes:
        config: its settings.
        label_names: the emotions.
        standardizer: fitted on its training split.
        extractors: feature set -> how it was made.
        predictor: its networks.
        notices: what a user should know of it.
    """

    config: Config
    label_names: tuple[str, ...]
    standardizer: Standardizer
    extractors: dict[str, Extractor]
    predictor: Predictor
    notices: tuple[str, ...]


def load_model(run: Path, context: int, samples: int, seed: int | None = None, sentence_model: str = "") -> Model:
    """Open the folder that macsgr_jax.cli.train or macsgr_jax.cli.sweep left.

    Args:
        run: the folder.
        context: utterances that are looked at together.
        samples: draws of the latent Gaussians.
        seed: of one network; by default all of them answer together.
        sentence_model: name or folder, where it is no longer that of the training.

    Raises:
        InputError: it is no such folder, is of another version, or does not say how its features are made.
    """
    checkpoints = open_checkpoints(run)
    folder, config, standardizer = checkpoints.folder, checkpoints.config, checkpoints.standardizer
    extractors = _choose_extractors(run, standardizer, load_extractors(folder))
    if sentence_model and TEXT_SENTENCE in extractors:
        extractors[TEXT_SENTENCE] = Extractor(extractors[TEXT_SENTENCE].description | {"model": sentence_model})
    seeds = checkpoints.seeds if seed is None else (seed,)
    params = [load_weights(checkpoints, one)[0] for one in seeds]
    temperatures = read_temperatures(folder / TEMPERATURES_FILE, seeds)
    notices = () if temperatures else ("the probabilities are not calibrated: the run is older than calibration",)
    labels = tuple(checkpoints.corpus["labels"])
    predictor = Predictor(config.model, len(labels), params, temperatures or [1.0] * len(seeds), context, samples)
    return Model(config, labels, standardizer, extractors, predictor, notices)


def standardize_turns(model: Model, corpus: Corpus) -> Turns:
    """The utterances of a corpus as the network reads them.

    Raises:
        InputError: a feature set is missing or has another width.
    """
    features, available = standardize(model.standardizer, corpus)
    return Turns(features, available, corpus.speakers)


def _choose_extractors(run: Path, standardizer: Standardizer, made_by: dict[str, Extractor]) -> dict[str, Extractor]:
    chosen = {}
    for name in (name for names in standardizer.feature_sets.values() for name in names):
        if name not in made_by:
            raise InputError(
                f"{run} does not say how its feature set {name} was made, so no other conversation can get it: train on"
                " a corpus of `macsgr import`, which does"
            )
        check_extractor(name, made_by[name])
        chosen[name] = made_by[name]
    return chosen


def read_temperatures(path: Path, seeds: Sequence[int]) -> list[float] | None:
    """The temperatures of some seeds, or None where the run has none.

    Raises:
        InputError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        temperatures = [float(found[str(seed)]) for seed in seeds]
        if not all(np.isfinite(value) and value > 0 for value in temperatures):
            raise ValueError("a temperature is not positive")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}): train again") from None
    return temperatures
