"""Opens what a run left: its configuration, its scaling, its weights, and the networks that predict with them."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from macsgr_jax.config import Config, ModelConfig
from macsgr_jax.data import synthetic
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.data.standardize import Standardizer, standardize
from macsgr_jax.errors import InputError
from macsgr_jax.features.registry import TEXT_SENTENCE, check_extractor
from macsgr_jax.inference.predictor import Predictor, Turns, Window, make_batch
from macsgr_jax.models import build_network
from macsgr_jax.overrides import from_json
from macsgr_jax.runs.folder import TEMPERATURES_FILE
from macsgr_jax.training.checkpoint import Params, load_description, load_extractors, load_params

SYNTHETIC = "synthetic"


class Checkpoints(NamedTuple):
    """The checkpoints of one network of a run.

    Attributes:
        folder: the folder of the checkpoints.
        config: the configuration of the training.
        corpus: name, path, sha256 and labels of the corpus that the network was trained on.
        standardizer: the scaling fitted on the training split.
        seeds: the seeds that have weights, ascending.
        version: the version of macsgr_jax that wrote the folder; "0.1" where it does not say so.
    """

    folder: Path
    config: Config
    corpus: dict[str, Any]
    standardizer: Standardizer
    seeds: tuple[int, ...]
    version: str


def open_checkpoints(run: Path, network: str = "full") -> Checkpoints:
    """Opens the folder of a run or of a sweep.

    Args:
        run: the folder.
        network: full, or a modality of `single_modalities`.

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
    version = description.get("version", "0.1") if isinstance(description, dict) else "0.1"
    try:
        config, corpus = from_json(description["config"]), description["corpus"]
        fits = {"name", "path", "sha256", "labels"} <= set(corpus)
    except InputError as error:
        raise InputError(f"{run} was trained by version {version} of macsgr_jax ({error}): train it again") from None
    except (KeyError, TypeError):
        fits = False
    if not fits:
        raise InputError(f"{folder / 'description.json'} does not describe a run: train again")
    numbers = [path.name.removeprefix("seed_") for path in folder.glob("seed_*")]
    seeds = tuple(sorted(int(number) for number in numbers if number.isdecimal()))
    if not seeds:
        raise InputError(f"{folder} holds no checkpoint of any seed: train again")
    return Checkpoints(folder, config, corpus, standardizer, seeds, version)


def load_weights(checkpoints: Checkpoints, seed: int) -> tuple[Params, int]:
    """Loads the weights of a seed.

    Returns:
        The weights and their epoch.

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
            f"{folder / f'seed_{seed}'} was trained by version {checkpoints.version} of macsgr_jax (its weights"
            f" {different[0]} are {found.get(different[0], 'absent')}, and here {wanted.get(different[0], 'absent')}):"
            " train it again"
        )
    return params, epoch


def read_corpus(name: str) -> Corpus:
    """Reads the corpus that a command line names.

    Args:
        name: "synthetic" for the generated one, or the path of a corpus file.

    Raises:
        InputError: the file cannot be used.
    """
    return synthetic.generate() if name == SYNTHETIC else load_corpus(name)


def load_training_corpus(checkpoints: Checkpoints, corpus: Corpus | None = None) -> Corpus:
    """Returns the corpus that a network was trained on.

    Args:
        checkpoints: the checkpoints of the network.
        corpus: the corpus, where it is loaded already; by default it is read from where it was.

    Raises:
        InputError: the file cannot be used, or is another corpus.
    """
    known = checkpoints.corpus
    if corpus is None:
        corpus = read_corpus(known["path"] or SYNTHETIC)
    if corpus.sha256 != known["sha256"]:
        raise InputError(
            f"the corpus {corpus.name} is not the one of the training (sha256 {corpus.sha256[:12]}... instead of"
            f" {known['sha256'][:12]}...): give the same file with --corpus"
        )
    return corpus


class Model(NamedTuple):
    """The networks of a run, with everything that predictions for new conversations need.

    Attributes:
        run: the folder of the run.
        config: the configuration of the training.
        label_names: the C emotions.
        standardizer: the scaling fitted on the training split.
        extractors: feature set -> how it was made.
        predictor: the networks.
        notices: sentences that a user of the predictions should know.
    """

    run: Path
    config: Config
    label_names: tuple[str, ...]
    standardizer: Standardizer
    extractors: dict[str, Extractor]
    predictor: Predictor
    notices: tuple[str, ...]


def load_model(
    run: Path, context: int = 512, samples: int = 16, seed: int | None = None, sentence_model: str = ""
) -> Model:
    """Loads the networks of a run or of a sweep for predictions.

    Args:
        run: the folder.
        context: the number of utterances that a network sees together.
        samples: the number of draws of the latent Gaussians.
        seed: the seed of one network; by default the probabilities of all of them are averaged.
        sentence_model: name or folder of the sentence model, where it is no longer that of the training.

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
    temperatures = read_temperatures(checkpoints, seeds)
    notices: tuple[str, ...] = ()
    if not temperatures:
        notices = (f"the probabilities are not calibrated: version {checkpoints.version} fitted no temperature",)
    labels = tuple(checkpoints.corpus["labels"])
    predictor = Predictor(config.model, len(labels), params, temperatures or [1.0] * len(seeds), context, samples)
    return Model(run, config, labels, standardizer, extractors, predictor, notices)


def standardize_turns(model: Model, corpus: Corpus) -> Turns:
    """Standardises the utterances of a corpus as the networks expect them.

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


def read_temperatures(checkpoints: Checkpoints, seeds: Sequence[int]) -> list[float] | None:
    """Reads the temperatures of some seeds; returns None where the run has none.

    Raises:
        InputError: the file is damaged.
    """
    path = checkpoints.folder / TEMPERATURES_FILE
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


def _make_shapes(checkpoints: Checkpoints) -> Any:
    """Returns the shapes of the weights that the network has in this version."""
    standardizer = checkpoints.standardizer
    widths = {
        modality: sum(len(standardizer.mean[name]) for name in names)
        for modality, names in standardizer.feature_sets.items()
    }
    return _trace_shapes(checkpoints.config.model, len(checkpoints.corpus["labels"]), tuple(widths.items()))


@functools.lru_cache(maxsize=8)  # The seeds of a run share one trace, of 0.4 s.
def _trace_shapes(config: ModelConfig, num_classes: int, widths: tuple[tuple[str, int], ...]) -> Any:
    one = Turns(
        {modality: np.zeros((1, width), np.float32) for modality, width in widths},
        {modality: np.ones(1, bool) for modality, _ in widths},
        np.zeros(1, np.int32),
    )
    network = build_network(config, num_classes)
    return jax.eval_shape(network.init, jax.random.key(0), make_batch(one, Window(0, 1, 0, 1), 1))["params"]


def _list_shapes(params: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): tuple(leaf.shape) for path, leaf in leaves}
