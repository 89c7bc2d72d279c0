"""Publishes a finished run: its networks as one ensemble, scored as they are stored, with a card for people."""

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import logsumexp, softmax

from macsgr_jax import __version__
from macsgr_jax.calibration import fit_ensemble_temperature
from macsgr_jax.config import Config
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.dataset import PreparedCorpus, layout_of, prepare
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.data.standardize import Standardizer
from macsgr_jax.errors import InputError
from macsgr_jax.inference.published import (
    FORMAT,
    Description,
    Precision,
    PublishedCorpus,
    PublishedFeatures,
    PublishedModel,
    PublishedSeed,
    refuse_published,
    round_weights,
    write_published,
)
from macsgr_jax.overrides import to_json
from macsgr_jax.runs.evaluate import UtterancePrediction, gather_logits, predict_split, score_predictions
from macsgr_jax.runs.folder import read_results
from macsgr_jax.runs.load import (
    Checkpoints,
    load_training_corpus,
    load_weights,
    open_checkpoints,
    read_temperatures,
)
from macsgr_jax.runs.results import SCALARS
from macsgr_jax.runs.tables import count_of
from macsgr_jax.training.checkpoint import load_extractors
from macsgr_jax.types import Params

WITHOUT_CONTEXT = "without context"
# Utterances that are predicted alone are packed into rows of this many slots.
SLOTS_WITHOUT_CONTEXT = 32


class Ensemble(NamedTuple):
    """The networks of an ensemble.

    Attributes:
        config: their configuration.
        params: the weights of each.
        temperatures: the number by which the logits of each are divided.
    """

    config: Config
    params: Sequence[Params]
    temperatures: Sequence[float]


def publish_run(
    run: Path,
    folder: Path,
    *,
    name: str = "",
    network: str = "full",
    seeds: Sequence[int] | None = None,
    precision: Precision = "float16",
    corpus: Corpus | None = None,
    notes: str = "",
    overwrite: bool = False,
    on_notice: Callable[[str], None] = lambda text: None,
) -> Description:
    """Writes the networks of a finished run as one folder that needs nothing else.

    The ensemble is calibrated on the validation split and scored as it is stored, where the corpus is at hand.

    Args:
        run: the folder of a run or of a sweep.
        folder: the folder to make.
        name: the name of the model; by default that of the folder.
        network: full, or a modality of `single_modalities`.
        seeds: the seeds of the ensemble; by default all.
        precision: the type in which weights are stored.
        corpus: the corpus of the training; by default it is read from where it was.
        notes: a paragraph for the card: what the model is for, and the terms of its corpus.
        overwrite: whether to replace an earlier published model.
        on_notice: called with a sentence for each thing that is left out.

    Returns:
        The contents of model.json.

    Raises:
        InputError: it is no finished run, the corpus is another one, or the folder cannot be written.
    """
    refuse_published(folder, overwrite)
    results = read_results(run)
    checkpoints = open_checkpoints(run, network)
    chosen = checkpoints.seeds if seeds is None else tuple(seeds)
    if not chosen or len(set(chosen)) < len(chosen):
        raise InputError(f"seeds {list(chosen)}: name at least one, and each once")
    loaded = [load_weights(checkpoints, seed) for seed in chosen]
    params = [round_weights(weights, precision) for weights, _ in loaded]
    temperatures = read_temperatures(checkpoints, chosen) or [1.0] * len(chosen)
    scores: dict[str, dict[str, float]] = {}
    if corpus is None:
        corpus = _find_corpus(checkpoints, on_notice)
    else:
        load_training_corpus(checkpoints, corpus)
    if corpus is not None:
        ensemble = Ensemble(checkpoints.config, params, temperatures)
        prepared = prepare(corpus, layout_of(checkpoints.config), checkpoints.standardizer)
        ensemble = calibrate_ensemble(ensemble, prepared)
        temperatures = list(ensemble.temperatures)
        alone = separate_utterances(corpus, checkpoints)
        for split in ("validation", "test"):
            scores[split] = score_ensemble(ensemble, prepared, split)
            scores[f"{split}, {WITHOUT_CONTEXT}"] = score_ensemble(ensemble, alone, split)
    extractors = {
        feature: _without_folders(extractor)
        for feature, extractor in load_extractors(checkpoints.folder).items()
        if feature in {one for names in checkpoints.standardizer.feature_sets.values() for one in names}
    }
    splits = results["corpus"]["splits"]
    description = Description(
        format=FORMAT,
        version=__version__,
        name=name or folder.resolve().name,
        command=list(hide_folders(results["command"])),
        corpus=PublishedCorpus(
            checkpoints.corpus["name"],
            checkpoints.corpus["sha256"],
            {split: splits[split]["utterances"] for split in SPLITS},
        ),
        labels=list(checkpoints.corpus["labels"]),
        network=network,
        seeds=[
            PublishedSeed(seed, epoch, temperature)
            for seed, (_, epoch), temperature in zip(chosen, loaded, temperatures, strict=True)
        ],
        precision=precision,
        features=_describe_features(checkpoints.standardizer, extractors),
        clip=checkpoints.standardizer.clip,
        config=to_json(checkpoints.config),
        scores=scores,
        files={"weights.safetensors": "0" * 64},
    )
    for one in description.features:
        if one.extractor is None:
            on_notice(f"it is not known how {one.name} was made: the model can only be used on corpora that have it")
    model = PublishedModel(description, checkpoints.config, checkpoints.standardizer, extractors, tuple(params))
    return write_published(folder, model, write_card(description, notes), overwrite)


def calibrate_ensemble(ensemble: Ensemble, prepared: PreparedCorpus) -> Ensemble:
    """Returns the ensemble with the one temperature that fits the validation split best."""
    predicted = [list(predict_split(prepared, ensemble.config, one, "validation")) for one in ensemble.params]
    logits = np.stack([gather_logits(prepared.corpus, one)[0] for one in predicted])
    _, labels = gather_logits(prepared.corpus, predicted[0])
    temperature = fit_ensemble_temperature(logits, labels)
    return ensemble._replace(temperatures=[temperature] * len(ensemble.params))


def score_ensemble(ensemble: Ensemble, prepared: PreparedCorpus, split: str) -> dict[str, float]:
    """Computes the scores of the averaged probabilities on a split.

    Returns:
        Score of SCALARS -> value.
    """
    prepared = dataclasses.replace(prepared, utterances=jax.device_put(prepared.utterances))
    members = [list(predict_split(prepared, ensemble.config, one, split)) for one in ensemble.params]
    averaged = []
    for together in zip(*members, strict=True):
        pairs = zip(together, ensemble.temperatures, strict=True)
        probabilities = np.mean([softmax(one.logits.astype(np.float64) / heat) for one, heat in pairs], axis=0)
        logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
        averaged.append(UtterancePrediction(together[0].utterance, logits - logsumexp(logits), together[0].weights))
    scores = score_predictions(prepared.corpus, averaged)
    return {name: scores[name] for name in SCALARS}


def separate_utterances(corpus: Corpus, checkpoints: Checkpoints) -> PreparedCorpus:
    """Prepares a corpus in which each utterance is a dialogue of its own, as for a network that knows no context."""
    layout = layout_of(checkpoints.config)
    # The validation split that is held out consists of whole dialogues.
    corpus = prepare(corpus, layout, checkpoints.standardizer).corpus
    alone = dataclasses.replace(
        corpus,
        offsets=np.arange(corpus.num_utterances + 1),
        dialogue_names=corpus.utterance_ids,
        split=corpus.split[corpus.dialogue_of_utterance],
    )
    data = dataclasses.replace(layout.data, slots_per_row=SLOTS_WITHOUT_CONTEXT)
    layout = dataclasses.replace(layout, data=data, utterance_dropout=0.0)
    return prepare(alone, layout, checkpoints.standardizer)


def hide_folders(command: list[str]) -> list[str]:
    """Returns a command without what says where its files lay: no --out, and no folders of other files."""
    shown: list[str] = []
    words = iter(["macsgr", *command[1:]] if command[:1] == ["__main__.py"] else command)
    for word in words:
        if word in ("--out", "-o"):
            next(words, None)
            continue
        if word.startswith("--out="):
            continue
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if "/" in value or "\\" in value:
            value = value.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
        shown.append(f"{option}{equals}{value}" if option else value)
    return shown


def write_card(description: Description, notes: str = "") -> str:
    """Writes the card of a model: what it is, what it was trained on, how well it does, and its limits.

    Args:
        description: the contents of model.json.
        notes: a paragraph of the publisher.

    Returns:
        Markdown, with the block at its top that hubs of models read.
    """
    corpus = description.corpus
    counts = ", ".join(f"{split} {count}" for split, count in corpus.utterances.items())
    features = "; ".join(f"{one.modality}: {one.name} ({one.columns} columns)" for one in description.features)
    seeds = ", ".join(str(one.seed) for one in description.seeds)
    calibration = ", ".join(dict.fromkeys(f"{one.temperature:.3f}" for one in description.seeds))
    rows = "\n".join(
        f"| {split} | {100 * values['waf1']:.1f} | {100 * values['waa']:.1f} | {100 * values['macro_f1']:.1f} |"
        f" {100 * values['uar']:.1f} | {values['nll']:.3f} | {100 * values['ece']:.1f} |"
        for split, values in description.scores.items()
    )
    table = f"""| split | WAF1 | WAA | macro-F1 | UAR | NLL | ECE |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

The ensemble, as it is stored; percent, NLL in nats. "{WITHOUT_CONTEXT.capitalize()}" is each utterance as a
conversation of its own."""
    scores = table if rows else "Not measured: the corpus was not at hand when the model was published."
    context = "the conversation so far" if description.config["model"]["causal"] else "the whole conversation"
    paragraph = f"{notes.strip()}\n\n" if notes.strip() else ""
    return f"""---
library_name: macsgr_jax
tags: [emotion-recognition-in-conversation]
---
# {description.name}

{paragraph}Predicts the emotion of every utterance of a conversation, with {context} as context:
{", ".join(description.labels)}. An ensemble of {count_of(len(description.seeds), "network")} of macsgr_jax
{description.version} (MA-CMU-SGRNet), whose probabilities are averaged.

```sh
macsgr predict talk.srt --model {description.name}
```

## Training

- corpus: {corpus.name}, sha256 {corpus.sha256}; utterances: {counts}
- command: `{shlex.join(description.command)}`
- network: {description.network}, seeds {seeds}; features {features}
- temperature {calibration}; weights stored in {description.precision}

## Scores

{scores}

## Limits

- The emotions are those that annotators of {corpus.name} heard or read there. Other people, languages, topics and
  recordings were not tested; expect lower scores on them.
- Rare emotions are missed more often than frequent ones, and the probabilities are calibrated for this corpus alone.
- A prediction says how an utterance may come across, not what a person feels. It is no basis for decisions about
  people.
"""


def _find_corpus(checkpoints: Checkpoints, on_notice: Callable[[str], None]) -> Corpus | None:
    try:
        return load_training_corpus(checkpoints)
    except InputError as error:
        on_notice(f"{error}; the model is published without scores, and each network keeps its own temperature")
        return None


def _without_folders(extractor: Extractor) -> Extractor:
    """Returns an extractor that names a sentence model by its last name alone, where it was a folder."""
    model = extractor.description.get("model", "")
    if not isinstance(model, str) or not Path(model).is_absolute():
        return extractor
    return Extractor(extractor.description | {"model": Path(model).name}, extractor.arrays)


def _describe_features(standardizer: Standardizer, extractors: dict[str, Extractor]) -> list[PublishedFeatures]:
    described = []
    for modality, names in standardizer.feature_sets.items():
        for name in names:
            made_by: dict[str, Any] | None = extractors[name].description if name in extractors else None
            described.append(PublishedFeatures(modality, name, len(standardizer.mean[name]), made_by))
    return described
