"""The schema of each JSON file in the folder of a run: what is read goes through one of these before it is used."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import ConfigDict, FiniteFloat, NonNegativeInt, PositiveInt

from macsgr_jax.errors import InputError, quote
from macsgr_jax.files import read_json
from macsgr_jax.limits import MAX_EPOCHS, MAX_LABELS, MAX_NAME, MAX_POINTS, MAX_SEED, MAX_SEEDS

Name = Annotated[str, pydantic.Field(min_length=1, max_length=MAX_NAME)]
Text = Annotated[str, pydantic.Field(max_length=100_000)]
Seed = Annotated[int, pydantic.Field(ge=0, le=MAX_SEED)]
SeedName = Annotated[str, pydantic.Field(pattern=r"^(0|[1-9]\d{0,9})$")]
Sha256 = Annotated[str, pydantic.Field(max_length=64)]
Settings = dict[str, dict[str, Any]]  # Of a configuration, which `overrides.from_json` checks.
PositiveFinite = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, pydantic.Field(ge=0, le=1.00001, allow_inf_nan=False)]


def _check_distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a name is there twice")
    return names


Labels = Annotated[
    list[Name], pydantic.Field(min_length=1, max_length=MAX_LABELS), pydantic.AfterValidator(_check_distinct)
]


class _Plain(pydantic.BaseModel):
    """Known fields are checked, and others kept as they are: a later version may write more."""

    model_config = ConfigDict(extra="allow", strict=True)


class TrainingCorpus(_Plain):
    """The corpus of a training.

    Attributes:
        name: its name.
        path: where it is, from the folder of the run; None where it was generated.
        sha256: its hash.
        labels: its emotions.
        splits: split -> its numbers of dialogues and utterances.
        notices: what loading it noticed.
    """

    name: Text
    path: Text | None
    sha256: Sha256
    labels: Labels
    splits: dict[str, dict[str, NonNegativeInt]] = {}
    notices: list[Text] = []


class Description(_Plain):
    """The file description.json beside the weights.

    Attributes:
        version: the version of macsgr_jax that wrote it.
        corpus: the corpus.
        config: the configuration.
    """

    version: Name = "0.1"
    corpus: TrainingCorpus
    config: Settings


class Identity(_Plain):
    """The file run.json.

    Attributes:
        corpus_sha256: the hash of the corpus.
        seeds: the seeds, or, of version 0.1, their number.
        networks: network -> its configuration, of a training.
        config: the configuration, of a sweep or a search.
        points: the settings, of a sweep or a search.
        select: the score that chooses among them.
        kind: search, of `macsgr tune`; a sweep has none.
    """

    corpus_sha256: Sha256 = ""
    seeds: Annotated[list[Seed], pydantic.Field(min_length=1, max_length=MAX_SEEDS)] | PositiveInt | None = None
    networks: dict[Name, Settings] | None = None
    config: Settings | None = None
    points: Annotated[list[dict[str, Text]], pydantic.Field(min_length=1, max_length=MAX_POINTS)] | None = None
    select: Name | None = None
    kind: Literal["search"] | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Identity":
        if (not self.networks) == (self.config is None):
            raise ValueError("it needs either networks or a config")
        return self


class Recovery(_Plain):
    """The file recovery_N.json.

    Attributes:
        runs: the names of the runs whose states the folder recovery_N holds.
        states: the number of states.
    """

    runs: Annotated[list[Name], pydantic.Field(min_length=1), pydantic.AfterValidator(_check_distinct)]
    states: PositiveInt


class Device(_Plain):
    """The devices of a training."""

    platform: Text
    kind: Text
    count: PositiveInt


class Mean(_Plain):
    """Mean and standard deviation of a score over seeds; null where a run diverged or no utterance has a label."""

    mean: FiniteFloat | None
    std: FiniteFloat | None


class Scores(_Plain):
    """The scores of one seed on one split; null where no utterance has a label."""

    classes: dict[Name, dict[str, FiniteFloat | None]]
    confusion: list[list[NonNegativeInt]]


class SeedScores(_Plain):
    """One seed in the results file."""

    seed: Seed
    epoch: Annotated[int, pydantic.Field(ge=1, le=MAX_EPOCHS)]
    test: Scores
    validation: Scores
    curves: dict[Name, list[FiniteFloat | None]]
    collapsed: dict[str, Any] | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> "SeedScores":
        lengths = {len(curve) for curve in self.curves.values()}
        if not self.curves or lengths != {max(lengths)} or self.epoch > max(lengths):
            raise ValueError("the curves do not have one value per epoch")
        classes = len(self.test.classes)
        if len(self.test.confusion) != classes or any(len(row) != classes for row in self.test.confusion):
            raise ValueError("the confusion matrix does not have a row and a column per emotion")
        return self


class SplitSummary(_Plain):
    """Scores over the seeds; every key but `classes` is a score."""

    __pydantic_extra__: dict[str, Mean]
    classes: dict[Name, dict[str, Mean]]


class Summary(_Plain):
    """Scores over the seeds, by split."""

    test: SplitSummary
    validation: SplitSummary


class Batch(_Plain):
    """The shape of a batch of the training."""

    padding_share: Fraction


class NetworkResults(_Plain):
    """One network in the results file of a training."""

    config: Settings
    features: dict[Name, list[Name]]
    batch: Batch
    seeds: Annotated[list[SeedScores], pydantic.Field(min_length=1)]
    summary: Summary


class SweepPoint(_Plain):
    """One setting of a sweep or a search."""

    setting: dict[str, Text]
    validation: dict[Name, Mean]


class ChosenPoint(_Plain):
    """The chosen setting."""

    setting: dict[str, Text]
    config: Settings | None = None
    test: dict[str, Any] | None = None
    test_by_seed: list[dict[str, Any]] | None = None
    validation: dict[Name, Mean] | None = None


class Round(_Plain):
    """One round of a search."""

    points: Annotated[list[SweepPoint], pydantic.Field(min_length=1)]


class Results(_Plain):
    """The file results.json of a training, a sweep or a search."""

    version: Name = "0.1"
    command: list[Text]
    corpus: TrainingCorpus
    device: Device
    networks: dict[Name, NetworkResults] | None = None
    reference: dict[Name, dict[str, Any]] = {}
    points: Annotated[list[SweepPoint], pydantic.Field(min_length=1)] | None = None
    rounds: Annotated[list[Round], pydantic.Field(min_length=1)] | None = None
    chosen: ChosenPoint | None = None
    seeds: PositiveInt | None = None
    select: Name | None = None
    config: Settings | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Results":
        if self.networks is not None:
            full = self.networks.get("full")
            if full is None:
                raise ValueError("there is no network full")
            if any(len(seed.test.classes) != len(self.corpus.labels) for seed in full.seeds):
                raise ValueError("the scores are of other emotions than the corpus has")
        elif self.chosen is None or (self.points is None) == (self.rounds is None) or self.config is None:
            raise ValueError("it is neither of a training nor of a sweep or a search")
        elif self.points is not None and not self.chosen.test_by_seed:
            raise ValueError("the chosen setting has no test scores")
        elif self.rounds is not None and (self.seeds is None or self.chosen.config is None):
            raise ValueError("the chosen setting has no configuration")
        return self


Temperatures = pydantic.RootModel[dict[SeedName, PositiveFinite]]

Schema = TypeVar("Schema", bound=pydantic.BaseModel)


def read_checked(path: Path, schema: type[Schema], advice: str) -> Schema:
    """Reads a JSON file and checks it.

    Args:
        path: the file.
        schema: its schema.
        advice: what to do if it cannot be used, for the message.

    Raises:
        InputError: it cannot be read, is not JSON, or does not fit.
    """
    return check_values(read_json(path, advice), schema, path, advice)


def check_values(values: Any, schema: type[Schema], path: Path, advice: str) -> Schema:
    """Checks values against a schema.

    Args:
        values: plain values.
        schema: their schema.
        path: the file that they are from, for the message.
        advice: what to do if they do not fit, for the message.

    Raises:
        InputError: they do not fit.
    """
    try:
        return schema.model_validate(values)
    except pydantic.ValidationError as error:
        raise InputError(f"{path} is damaged ({describe_first_error(error)}): {advice}") from None


def describe_first_error(error: pydantic.ValidationError) -> str:
    """Returns where the first error of a validation is and what it is."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(quote(part, 60) for part in first["loc"])
    return f"{where}: {quote(first['msg'])}" if where else quote(first["msg"])
