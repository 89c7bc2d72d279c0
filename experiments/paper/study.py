"""Networks that several tables and figures share: each is trained once, into a folder of its own, and read after that.

RUNS/<corpus>/<variant>/ is what `python -m macsgr_jax.cli.train` leaves: checkpoints, results.json, predictions.csv.
"""

import csv
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from experiments.paper.variants import CORPUS_SETTINGS, SIMPLEST
from macsgr_jax.cli import train
from macsgr_jax.config import Config, DataConfig
from macsgr_jax.data.corpus import SPLITS, Corpus, keep_dialogues
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.data.dataset import PreparedCorpus, prepare
from macsgr_jax.errors import InputError
from macsgr_jax.models import Network, build_network
from macsgr_jax.overrides import from_json, override
from macsgr_jax.presets import PRESETS
from macsgr_jax.runs.folder import RESULTS_FILE
from macsgr_jax.training.checkpoint import Params, load_description, load_params

QUICK_SEEDS, QUICK_EPOCHS = 1, 2
MAX_NAME_LENGTH = 100
# A network has to hold out something: one dialogue, by which the last epoch of a fixed recipe chooses nothing.
REFIT_SETTINGS = ("data.validation_fraction=0.001",)


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """What the commands of the paper's evidence have in common.

    Attributes:
        corpora: Folder of iemocap.npz, meld.npz and mosi.npz (docs/corpus.md has the form).
        runs: Folder of trained networks, shared by all these commands: what is there is not trained again.
        results: Folder for the table or figure and its numbers.
        seeds: Seeds a network: 0, 1, ...
        only: Corpora to look at, separated by commas; by default all that the table or figure has.
        quick: One seed and two epochs, into folders of their own: to see that everything runs.
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
class Trained:
    """One network, all its seeds, and what it says of the test split.

    Attributes:
        corpus: it was tested on.
        folder: of its run.
        results: its results.json.
    """

    corpus: Corpus
    folder: Path
    results: dict[str, Any]

    @property
    def network(self) -> dict[str, Any]:
        """The network's part of results.json."""
        network: dict[str, Any] = self.results["networks"]["full"]
        return network

    def scores(self, name: str) -> list[float]:
        """A test score of every seed."""
        return [seed["test"][name] for seed in self.network["seeds"]]

    @cached_property
    def utterances(self) -> np.ndarray:
        """i64[U], the rows of the test split, in the order of `probabilities`."""
        return self.corpus.utterances_of("test")

    @cached_property
    def labels(self) -> np.ndarray:
        """i64[U], of the test split."""
        return self.corpus.labels[self.utterances].astype(np.int64)

    @cached_property
    def dialogue(self) -> np.ndarray:
        """i64[U], which dialogue of the test split each utterance belongs to, from 0."""
        return np.unique(self.corpus.dialogue_of_utterance[self.utterances], return_inverse=True)[1]

    @cached_property
    def probabilities(self) -> np.ndarray:
        """f64[S, U, C], of every seed, from predictions.csv."""
        return self._read_columns("p_")

    @cached_property
    def weights(self) -> np.ndarray:
        """f64[S, U, M], fusion weights of every seed, modalities sorted."""
        return self._read_columns("weight_")

    @cached_property
    def prepared(self) -> PreparedCorpus:
        """The corpus as the network was given it."""
        return prepare(self.corpus, self._config, load_description(self._checkpoints)[1])

    @cached_property
    def flax_network(self) -> Network:
        """The module whose weights `load_seeds` reads."""
        return build_network(self._config.model, self.corpus.num_classes)

    def load_seeds(self) -> Iterator[Params]:
        """The weights of each seed that were tested.

        Raises:
            InputError: a checkpoint is missing or damaged.
        """
        for seed in self.network["seeds"]:
            yield load_params(self._checkpoints / f"seed_{seed['seed']}", self._config.train.checkpoint)[0]

    @property
    def predicted(self) -> np.ndarray:
        """i64[S, U]."""
        return np.argmax(self.probabilities, axis=-1)

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints" / "full"

    @property
    def _config(self) -> Config:
        return from_json(self.network["config"])

    def _read_columns(self, prefix: str) -> np.ndarray:
        with open(self.folder / "predictions.csv", encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        places = [place for place, name in enumerate(head) if name.startswith(prefix)]
        values = np.array([[float(row[place]) for place in places] for row in rows])
        return values.reshape(-1, len(self.utterances), len(places))


class Study:
    """Trains what is not trained yet.

    Args:
        options: of the command line.

    Raises:
        InputError: an option does not fit.
    """

    def __init__(self, options: StudyOptions) -> None:
        if options.seeds < 1:
            raise InputError("--seeds must be at least 1")
        self.seeds = QUICK_SEEDS if options.quick else options.seeds
        self.results, self.quick = options.results, options.quick
        self._options = options
        self._runs = options.runs / ("quick" if options.quick else "")
        self._corpora: dict[str, Corpus] = {}
        self._sources: dict[str, str] = {}
        self._settings: dict[str, tuple[str, ...]] = {}

    def choose(self, corpora: Sequence[str]) -> list[str]:
        """Those of some corpora that the command line asks for.

        Raises:
            InputError: --only names another one, or none is left.
        """
        wanted = [name for name in self._options.only.split(",") if name] or list(corpora)
        unknown = [name for name in wanted if name not in corpora]
        if unknown:
            raise InputError(f"--only {self._options.only}: there is no {unknown[0]} in it, only {', '.join(corpora)}")
        return wanted

    def corpus(self, name: str) -> Corpus:
        """A corpus of the folder, read once.

        Raises:
            InputError: it is missing or damaged.
        """
        if name not in self._corpora:
            self._corpora[name] = load_corpus(self.path(name))
        return self._corpora[name]

    def derive(self, name: str, source: str, split: np.ndarray, settings: tuple[str, ...] = ()) -> None:
        """Make a corpus that differs from another one in its splits; its file lies beside the networks.

        Args:
            name: of the new corpus.
            source: of the other one.
            split: i8[dialogues], index into SPLITS; dialogues of -1 are left out.
            settings: in which networks on it differ from those on the other one.
        """
        corpus = dataclasses.replace(self.corpus(source), name=name, split=split)
        corpus = keep_dialogues(corpus, np.flatnonzero(split >= 0))
        self._sources[name], self._settings[name] = source, settings
        if not self.path(name).is_file() or not np.array_equal(self.corpus(name).split, corpus.split):
            self.path(name).parent.mkdir(parents=True, exist_ok=True)
            save_corpus(corpus, self.path(name))
            self._corpora.pop(name, None)

    def derive_refit(self, source: str) -> str:
        """Make the corpus in which the validation split is trained on too.

        Args:
            source: such as iemocap.

        Returns:
            Its name.
        """
        split = self.corpus(source).split
        train, validation = (SPLITS.index(name) for name in ("train", "validation"))
        name = f"{source}_refit"
        self.derive(name, source, np.where(split == validation, train, split).astype(np.int8), REFIT_SETTINGS)
        return name

    def path(self, name: str) -> Path:
        """Where a corpus lies."""
        folder = self._runs / "corpora" if name in self._sources else self._options.corpora
        return folder / f"{name}.npz"

    def settings(self, corpus: str) -> tuple[str, ...]:
        """Those of every network on a corpus."""
        source = self._sources.get(corpus, corpus)
        return (*CORPUS_SETTINGS[source], *self._options.set, *self._settings.get(corpus, ()))

    def simplest(self, corpus: str) -> bool:
        """Whether the settings on a corpus are the simplest within one standard error of the best."""
        return self._sources.get(corpus, corpus) in SIMPLEST

    def data(self, corpus: str) -> DataConfig:
        """The features and splits of every network on a corpus."""
        return override(PRESETS["default"], self.settings(corpus)).data

    def train(self, corpus: str, variant: str, settings: tuple[str, ...] = ()) -> Trained:
        """The network of a name, trained if it is not there yet.

        Args:
            corpus: such as iemocap.
            variant: the name.
            settings: in which it differs from the full network.

        Raises:
            InputError: the corpus is missing, or the folder holds a network of other settings or seeds.
            Interrupted: a stop was requested; the same command goes on.
        """
        folder = self._runs / corpus / name_folder(variant)
        loaded = self.corpus(corpus)
        train.main(
            train.Train(
                out=folder,
                corpus=str(self.path(corpus)),
                set=(*self.settings(corpus), *settings),
                seeds=self.seeds,
                epochs=QUICK_EPOCHS if self._options.quick else None,
                resume=True,
            )
        )
        return Trained(loaded, folder, json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8")))


def name_folder(variant: str) -> str:
    """A variant's name as a folder's: "w/o UW" -> "w-o-uw"; a long one is cut, with a hash of all of it at the end."""
    name = re.sub(r"[^a-z0-9.]+", "-", variant.lower())
    if len(name) <= MAX_NAME_LENGTH:
        return name
    return f"{name[:MAX_NAME_LENGTH]}-{hashlib.sha256(variant.encode()).hexdigest()[:12]}"
