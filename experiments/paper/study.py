"""Trains each network of the paper once, and caches it on disk for all tables and figures.

RUNS/<corpus>/<variant>/ is the folder of a run, as `macsgr train --out` leaves it: checkpoints, results.json,
predictions.csv.
"""

import csv
import dataclasses
import hashlib
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from experiments.paper.variants import SIMPLEST
from macsgr_jax.cli.common import make_console
from macsgr_jax.config import Config
from macsgr_jax.data.corpus import SPLITS, Corpus, keep_dialogues
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.data.dataset import PreparedCorpus, layout_of, prepare
from macsgr_jax.data.synthetic import generate
from macsgr_jax.errors import InputError
from macsgr_jax.models import Network, build_network
from macsgr_jax.overrides import from_json, override
from macsgr_jax.presets import DEFAULT, PRESETS
from macsgr_jax.runs.evaluate import UtterancePrediction, predict_split
from macsgr_jax.runs.execution import Execution
from macsgr_jax.runs.folder import is_finished
from macsgr_jax.runs.interruption import StopRequests
from macsgr_jax.runs.tables import count_of
from macsgr_jax.runs.train import PREDICTIONS_FILE, train_and_evaluate
from macsgr_jax.training.checkpoint import Params, load_description, load_params

QUICK_SEEDS, QUICK_EPOCHS = 1, 2
MAX_NAME_LENGTH = 100
SYNTHETIC = "synthetic"
# A network has to hold out something: one dialogue, by which the last epoch of a fixed recipe chooses nothing.
REFIT_SETTINGS = ("data.validation_fraction=0.001",)


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """Options that all scripts of the paper's tables and figures share.

    Attributes:
        corpora: Folder of iemocap.npz, meld.npz, mosei.npz and mosi.npz (docs/corpus.md describes the format).
        runs: Folder of trained networks, shared by all of these scripts: a network in it is not trained again.
        results: Folder for the table or figure and its numbers.
        seeds: Seeds per network: 0, 1, ...
        only: Corpora to compute, separated by commas; by default all that the table or figure covers. What the folder
            of results has of the others is kept.
        quick: Train one seed for two epochs, into folders of their own, to check that everything runs.
        set: Replace one setting in every network; may be repeated.
    """

    corpora: Path
    runs: Path = Path("runs/paper")
    results: Path = Path("results")
    seeds: int = 10
    only: str = ""
    quick: bool = False
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=VALUE")] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network with all of its seeds, and its predictions of the test split.

    Attributes:
        corpus: the corpus that it was tested on.
        folder: the folder of its run.
        results: the contents of its results.json.
    """

    corpus: Corpus
    folder: Path
    results: dict[str, Any]

    @property
    def network(self) -> dict[str, Any]:
        """The part of results.json that describes the network."""
        network: dict[str, Any] = self.results["networks"]["full"]
        return network

    def scores(self, name: str) -> list[float]:
        """Returns a score of the test split, one value per seed."""
        return [seed["test"][name] for seed in self.network["seeds"]]

    @cached_property
    def utterances(self) -> np.ndarray:
        """i64[U], the labelled rows of the test split, in the order of `probabilities`."""
        return self.corpus.labelled_of("test")

    @cached_property
    def labels(self) -> np.ndarray:
        """i64[U], the annotated classes of the test split."""
        return self.corpus.labels[self.utterances].astype(np.int64)

    @cached_property
    def dialogue(self) -> np.ndarray:
        """i64[U], the dialogue of the test split that each utterance belongs to, from 0."""
        return np.unique(self.corpus.dialogue_of_utterance[self.utterances], return_inverse=True)[1]

    @cached_property
    def predicted(self) -> np.ndarray:
        """i64[S, U], the predicted classes of the test split, from predictions.csv."""
        names = list(self.corpus.label_names)
        return self._read_columns("predicted", names.index).reshape(-1, len(self.utterances))

    @cached_property
    def probabilities(self) -> np.ndarray:
        """f64[S, U, C], of the test split: of the checkpoints, or of predictions.csv where the folder has none."""
        if self._checkpoints.is_dir():
            return self.predict("test")
        return self._read_columns("p_", float).reshape(-1, len(self.utterances), self.corpus.num_classes)

    @cached_property
    def config(self) -> Config:
        """The configuration that the network was trained with."""
        return from_json(self.network["config"])

    @cached_property
    def prepared(self) -> PreparedCorpus:
        """The corpus as the network was given it; it has a validation split even where the corpus has none."""
        return prepare(self.corpus, layout_of(self.config), load_description(self._checkpoints)[1])

    @cached_property
    def flax_network(self) -> Network:
        """The module whose weights `load_seeds` reads."""
        return build_network(self.config.model, self.corpus.num_classes)

    def load_seeds(self) -> Iterator[Params]:
        """Yields the weights of each seed that were tested.

        Raises:
            InputError: a checkpoint is missing or damaged.
        """
        for seed in self.network["seeds"]:
            yield load_params(self._checkpoints / f"seed_{seed['seed']}", self.config.train.checkpoint)[0]

    def predict(self, split: str) -> np.ndarray:
        """Predicts a split with the weights of every seed.

        Args:
            split: validation or test, of `prepared`.

        Returns:
            f64[S, U, C], probabilities; the labelled utterances in the corpus's order.

        Raises:
            InputError: a checkpoint is missing or damaged.
        """
        rows = set(self.prepared.corpus.labelled_of(split).tolist())
        return np.array(
            [
                [prediction.probabilities for prediction in of_seed if prediction.utterance in rows]
                for of_seed in self._predictions
            ],
            np.float64,
        )

    @cached_property
    def _predictions(self) -> list[list[UtterancePrediction]]:
        """The predictions of the validation and the test split by each seed."""
        splits = ("validation", "test")
        return [list(predict_split(self.prepared, self.config, params, *splits)) for params in self.load_seeds()]

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints" / "full"

    def _read_columns(self, prefix: str, convert: Any) -> np.ndarray:
        """Reads the columns of predictions.csv whose names begin with a prefix: [rows, columns], of labelled rows."""
        with open(self.folder / PREDICTIONS_FILE, encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        columns = [index for index, name in enumerate(head) if name.startswith(prefix)]
        return np.array([[convert(row[index]) for index in columns] for row in rows if row[head.index("gold")]])


class NetworkCache:
    """Trains the networks of the paper's tables and figures that are not trained yet.

    Args:
        options: the options of the command line.

    Raises:
        InputError: an option does not fit.
    """

    def __init__(self, options: StudyOptions) -> None:
        if options.seeds < 1:
            raise InputError("--seeds must be at least 1")
        self.seeds = QUICK_SEEDS if options.quick else options.seeds
        self.quick = options.quick
        self._options = options
        self._runs = options.runs / ("quick" if options.quick else "")
        self._corpora: dict[str, Corpus] = {}
        self._sources: dict[str, str] = {}
        self._settings: dict[str, tuple[str, ...]] = {}

    def corpus(self, name: str) -> Corpus:
        """Returns a corpus of the folder, a derived one, or the generated one of the name synthetic; it is read once.

        Raises:
            InputError: it is missing or damaged.
        """
        if name not in self._corpora:
            self._corpora[name] = generate() if name == SYNTHETIC else load_corpus(self.path(name))
        return self._corpora[name]

    def derive(self, name: str, source: str, split: np.ndarray, settings: tuple[str, ...] = ()) -> None:
        """Makes a corpus that differs from another one in its splits, and stores it.

        Args:
            name: the name of the new corpus.
            source: the name of the other corpus.
            split: i8[dialogues], indices into SPLITS; dialogues of -1 are left out.
            settings: settings in which networks on the new corpus differ from those on the other one.
        """
        corpus = dataclasses.replace(self.corpus(source), name=name, split=split)
        self.store(name, source, keep_dialogues(corpus, np.flatnonzero(split >= 0)), settings)

    def store(self, name: str, source: str, corpus: Corpus, settings: tuple[str, ...] = ()) -> None:
        """Stores a corpus that is derived from another one; its file lies beside the networks.

        Args:
            name: the name of the new corpus.
            source: the name of the other corpus, whose preset is used.
            corpus: the new corpus.
            settings: settings in which networks on the new corpus differ from those on the other one.
        """
        self._sources[name] = self._sources.get(source, source)
        self._settings[name] = settings
        if not self.path(name).is_file() or not all(
            np.array_equal(getattr(self.corpus(name), field), getattr(corpus, field)) for field in ("split", "labels")
        ):
            self.path(name).parent.mkdir(parents=True, exist_ok=True)
            save_corpus(corpus, self.path(name))
            self._corpora.pop(name, None)

    def derive_refit(self, source: str) -> str:
        """Makes the corpus in which the validation split belongs to the training split.

        Args:
            source: the name of a corpus, such as iemocap.

        Returns:
            The name of the new corpus.
        """
        split = self.corpus(source).split
        train, validation = (SPLITS.index(name) for name in ("train", "validation"))
        name = f"{source}_refit"
        self.derive(name, source, np.where(split == validation, train, split).astype(np.int8), REFIT_SETTINGS)
        return name

    def path(self, name: str) -> Path:
        """Returns the path of a corpus file."""
        folder = self._runs / "corpora" if name in self._sources else self._options.corpora
        return folder / f"{name}.npz"

    def config(self, corpus: str, settings: tuple[str, ...] = ()) -> Config:
        """Returns the configuration of a network: the preset, the settings of --set, and those of a variant.

        A corpus whose name is not that of a preset has the default one.

        Args:
            corpus: the name of a corpus; a derived one has the preset of its source.
            settings: settings in which the variant differs from the full network.

        Raises:
            InputError: a setting is unknown or does not fit.
        """
        changes = (*self._options.set, *self._settings.get(corpus, ()), *settings, *self.quick_epochs)
        return override(PRESETS.get(self._sources.get(corpus, corpus), DEFAULT), changes)

    @property
    def quick_epochs(self) -> tuple[str, ...]:
        """The setting that --quick replaces in every network."""
        return (f"train.epochs={QUICK_EPOCHS}",) if self.quick else ()

    def simplest(self, corpus: str) -> bool:
        """Returns whether models on a corpus are to be the simplest within one standard error of the best."""
        return self._sources.get(corpus, corpus) in SIMPLEST

    def train(self, corpus: str, variant: str, settings: tuple[str, ...] = ()) -> TrainedNetwork:
        """Returns the network of a name, and trains it before if it is not there yet.

        Args:
            corpus: the name of a corpus, such as iemocap.
            variant: the name of the network.
            settings: settings in which it differs from the full network.

        Raises:
            InputError: the corpus is missing, or the folder holds a network of other settings or seeds.
            Interrupted: a stop was requested; the same command resumes.
        """
        folder = self._runs / corpus / name_folder(variant)
        loaded, config = self.corpus(corpus), self.config(corpus, settings)
        console = make_console()
        if not is_finished(folder):
            console.print(f"{corpus}, {variant}: {count_of(self.seeds, 'seed')} into {folder}", soft_wrap=True)
        with StopRequests() as stop:
            results = train_and_evaluate(
                config,
                loaded,
                range(self.seeds),
                folder,
                Execution(console=console, stop=stop),
                corpus_path=None if corpus == SYNTHETIC else self.path(corpus),
                resume=True,
            )
        return TrainedNetwork(corpus=loaded, folder=folder, results=results)


def name_folder(variant: str) -> str:
    """Returns a variant's name as a folder name: "w/o UW" -> "w-o-uw"; a long one is cut and ends with its hash."""
    name = re.sub(r"[^a-z0-9.]+", "-", variant.lower())
    if len(name) <= MAX_NAME_LENGTH:
        return name
    return f"{name[:MAX_NAME_LENGTH]}-{hashlib.sha256(variant.encode()).hexdigest()[:12]}"
