"""Opens what a run left, or a published model: its settings, scaling and weights, and the networks that predict."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict

from macsgr_jax.config import Config
from macsgr_jax.data import synthetic
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.data.standardize import Standardizer, standardize
from macsgr_jax.errors import InputError, quote
from macsgr_jax.features.registry import TEXT_SENTENCE, check_extractor
from macsgr_jax.features.sentence_embeddings import check_sentence_model
from macsgr_jax.files import exists, is_folder, list_folder
from macsgr_jax.inference.predictor import Predictor, Turns
from macsgr_jax.inference.published import PublishedModel, is_published, read_published, weight_shapes
from macsgr_jax.overrides import from_json
from macsgr_jax.runs.folder import TEMPERATURES_FILE
from macsgr_jax.runs.schemas import Description, Temperatures, check_values, read_checked
from macsgr_jax.training.checkpoint import Params, load_description, load_extractors, load_params

SYNTHETIC = "synthetic"
SEED = re.compile(r"0|[1-9]\d{0,9}", re.ASCII)


class Checkpoints(NamedTuple):
    """The weights of one network of a run, or of a published model.

    Attributes:
        folder: the folder of the checkpoints.
        config: the configuration of the training.
        corpus: name, path, sha256 and labels of the corpus that the network was trained on.
        standardizer: the scaling fitted on the training split.
        seeds: the seeds that have weights, ascending.
        version: the version of macsgr_jax that wrote the folder; "0.1" where it does not say so.
        published: the model where the folder is a published one.
    """

    folder: Path
    config: Config
    corpus: dict[str, Any]
    standardizer: Standardizer
    seeds: tuple[int, ...]
    version: str
    published: PublishedModel | None = None


def open_checkpoints(run: Path, network: str = "full") -> Checkpoints:
    """Opens the folder of a run, of a sweep or of a published model.

    Args:
        run: the folder.
        network: full, or a modality of `single_modalities`.

    Raises:
        InputError: it is no such folder, is damaged or of another version, or holds no weights.
    """
    if is_published(run):
        return _open_published(run, network)
    folder = run / "checkpoints" / network
    there = (
        sorted(path.name for path in list_folder(folder.parent) if path.is_dir()) if is_folder(folder.parent) else []
    )
    if not there:
        raise InputError(
            f"{run} is not the folder of a run: give what was --out of `macsgr train`, or a folder of `macsgr publish`"
        )
    if network not in there:
        raise InputError(f"{run} has no network {network}: choose from {quote(', '.join(there))}")
    values, standardizer = load_description(folder)
    description = check_values(values, Description, folder / "description.json", "train again")
    version = description.version
    try:
        config = from_json(description.config)
    except InputError as error:
        raise InputError(f"{run} was trained by version {version} of macsgr_jax ({error}): train it again") from None
    numbers = [path.name.removeprefix("seed_") for path in list_folder(folder) if path.name.startswith("seed_")]
    seeds = tuple(sorted(int(number) for number in numbers if SEED.fullmatch(number)))
    if not seeds:
        raise InputError(f"{folder} holds no checkpoint of any seed: train again")
    return Checkpoints(folder, config, values["corpus"], standardizer, seeds, version)


def _open_published(run: Path, network: str) -> Checkpoints:
    model = read_published(run)
    described = model.description
    if network not in ("full", described.network):
        raise InputError(f"{run} has no network {network}: it was published from the network {described.network}")
    corpus = {
        "name": described.corpus.name,
        "path": None,
        "sha256": described.corpus.sha256,
        "labels": described.labels,
    }
    seeds = tuple(one.seed for one in described.seeds)
    return Checkpoints(run, model.config, corpus, model.standardizer, seeds, described.version, model)


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
    if checkpoints.published is not None:
        position = checkpoints.seeds.index(seed)
        return checkpoints.published.params[position], checkpoints.published.description.seeds[position].epoch
    params, epoch = load_params(folder / f"seed_{seed}", config.train.checkpoint)
    found = {name: tuple(leaf.shape) for name, leaf in flatten_dict(params, sep="/").items()}
    wanted = weight_shapes(config.model, len(checkpoints.corpus["labels"]), checkpoints.standardizer)
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
        corpus = read_corpus(
            SYNTHETIC if known["path"] is None else str(_find_corpus(checkpoints.folder, known["path"]))
        )
    if corpus.sha256 != known["sha256"]:
        raise InputError(
            f"the corpus {corpus.name} is not the one of the training (sha256 {corpus.sha256[:12]}... instead of"
            f" {known['sha256'][:12]}...): give the same file with --corpus"
        )
    return corpus


def _find_corpus(folder: Path, path: str) -> Path:
    """Returns where the corpus of a training is: seen from the folder of the run, or, of version 0.1, from here.

    Raises:
        InputError: it is at neither place.
    """
    found = folder.parents[1] / path
    known = next((place for place in (found, Path(path)) if exists(place)), None)
    if known is None:
        raise InputError(f"the corpus of the training is not at {found}: say with --corpus where it is now")
    return known


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
    """Loads the networks of a run, of a sweep or of a published model for predictions.

    Args:
        run: the folder.
        context: the number of utterances that a network sees together.
        samples: the number of draws of the latent Gaussians.
        seed: the seed of one network; by default the probabilities of all of them are averaged.
        sentence_model: name or folder of the sentence model of text_sentence, which the user has to name unless it is
            the default one: a file does not decide what is loaded.

    Raises:
        InputError: it is no such folder, is of another version, or does not say how its features are made.
    """
    checkpoints = open_checkpoints(run)
    folder, config, standardizer = checkpoints.folder, checkpoints.config, checkpoints.standardizer
    made_by = load_extractors(folder) if checkpoints.published is None else checkpoints.published.extractors
    extractors = _choose_extractors(run, standardizer, made_by)
    if sentence_model and TEXT_SENTENCE in extractors:
        extractors[TEXT_SENTENCE] = dataclasses.replace(extractors[TEXT_SENTENCE], given=sentence_model)
    elif TEXT_SENTENCE in extractors:
        check_sentence_model(extractors[TEXT_SENTENCE].description["model"], sentence_model)
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
    if checkpoints.published is not None:
        known = {one.seed: one.temperature for one in checkpoints.published.description.seeds}
        return [known[seed] for seed in seeds]
    path = checkpoints.folder / TEMPERATURES_FILE
    if not exists(path):
        return None
    found = read_checked(path, Temperatures, "train again").root
    missing = [seed for seed in seeds if str(seed) not in found]
    if missing:
        raise InputError(f"{path} is damaged (it has no temperature of seed {missing[0]}): train again")
    return [found[str(seed)] for seed in seeds]
