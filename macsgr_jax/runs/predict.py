"""Predicts the emotions of new conversations with the networks of a run: from transcripts to records in JSON."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance, list_utterances
from macsgr_jax.data.transcript import Transcript, check_recording, to_corpus
from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.errors import InputError
from macsgr_jax.features.audio_io import check_inside
from macsgr_jax.features.opensmile import SETS
from macsgr_jax.features.registry import apply_extractors
from macsgr_jax.inference.predictor import Link, Prediction
from macsgr_jax.inference.streaming import StreamingPredictor
from macsgr_jax.runs.load import Model, standardize_turns


class PredictedConversation(NamedTuple):
    """The predictions for one conversation.

    Attributes:
        name: the name of the conversation.
        records: one record per utterance, in the form of docs/results.md.
        notices: sentences about audio that could not be used.
    """

    name: str
    records: list[dict[str, Any]]
    notices: tuple[str, ...]


def predict_conversations(
    model: Model,
    conversations: Sequence[Dialogue],
    *,
    jobs: int = 1,
    on_utterance: Callable[[], None] = lambda: None,
) -> Iterator[PredictedConversation]:
    """Predicts the emotion of every utterance of some conversations.

    Args:
        model: the networks, of `load.load_model`.
        conversations: the conversations, of `data.transcript.read_conversations`.
        jobs: the number of audio clips whose features are extracted in parallel.
        on_utterance: called after each utterance whose features are extracted.

    Yields:
        The predictions for each conversation, once all conversations were checked.

    Raises:
        InputError: an utterance lies outside its recording, or its label is unknown to the networks.
    """
    check_utterances(model, list_utterances(conversations))
    for conversation in conversations:
        corpus = extract_features(model, conversation, jobs, on_utterance)
        turns = standardize_turns(model, corpus)
        ids = [utterance.id for utterance in conversation.utterances]
        records = [
            describe_prediction(model, conversation.name, utterance, prediction, ids, _available(turns.available, row))
            for row, (utterance, prediction) in enumerate(
                zip(conversation.utterances, model.predictor.predict(turns), strict=True)
            )
        ]
        yield PredictedConversation(conversation.name, records, corpus.notices)


def predict_stream(
    model: Model,
    rows: Iterable[Row],
    recording: Path | None = None,
    on_notice: Callable[[str], None] = lambda text: None,
) -> Iterator[dict[str, Any]]:
    """Predicts each utterance of a conversation that goes on, before the next one is read.

    Args:
        model: causal networks.
        rows: the utterances as they come.
        recording: the audio or video of the conversation, if there is one.
        on_notice: called with a sentence where the audio of an utterance cannot be used.

    Yields:
        The record of each utterance.

    Raises:
        InputError: the networks see future utterances, or a row cannot be understood.
    """
    if not model.config.model.causal:
        raise InputError(
            f"--follow: the network of {model.run} looks ahead in the conversation: train one with --preset causal"
        )
    check_recording(recording)
    transcript = Transcript(recording, Path())
    predictor = StreamingPredictor(model.predictor)
    ids: list[str] = []
    speakers: dict[str, int] = {}
    for row in rows:
        utterance = transcript.read(row)
        check_utterances(model, [utterance])
        conversation = Dialogue("follow", (utterance,))
        corpus = extract_features(model, conversation, jobs=1)
        for notice in corpus.notices if utterance.clip else ():  # Audio that was given, and cannot be used.
            on_notice(f"utterance {utterance.id}: {notice}")
        one = standardize_turns(model, corpus)
        one = one._replace(speakers=np.array([speakers.setdefault(utterance.speaker, len(speakers))], np.int32))
        ids.append(utterance.id)
        prediction = predictor.update(one)
        yield describe_prediction(model, conversation.name, utterance, prediction, ids, _available(one.available, 0))


def check_utterances(model: Model, utterances: Sequence[Utterance]) -> None:
    """Checks that utterances lie inside their recordings, and that their labels are known to the networks.

    Raises:
        InputError: one does not, or a recording cannot be read.
    """
    for utterance in utterances:
        if utterance.label and utterance.label not in model.label_names:
            known = ", ".join(model.label_names)
            raise InputError(f"{utterance.where}: its label is {utterance.label!r}, none of {known}")
    if any(name in SETS for name in model.extractors):
        check_inside([utterance.clip for utterance in utterances], [utterance.where for utterance in utterances])


def extract_features(
    model: Model, conversation: Dialogue, jobs: int, on_utterance: Callable[[], None] = lambda: None
) -> Corpus:
    """Extracts the features that the networks read; returns the conversation as a corpus of one dialogue.

    Raises:
        InputError: a feature set cannot be made.
    """
    corpus = to_corpus([conversation], model.label_names)
    texts = [utterance.text for utterance in conversation.utterances]
    clips = [utterance.clip for utterance in conversation.utterances]
    made = apply_extractors(model.extractors, texts, clips, jobs, on_utterance)
    return dataclasses.replace(corpus, features=made.features, measured=made.measured, notices=made.notices)


def describe_prediction(
    model: Model,
    name: str,
    utterance: Utterance,
    prediction: Prediction,
    ids: Sequence[str],
    available: dict[str, bool],
) -> dict[str, Any]:
    """Returns the record of an utterance, as plain values.

    Args:
        model: the networks.
        name: the name of the conversation.
        utterance: the utterance.
        prediction: its prediction.
        ids: the ids of the utterances of the conversation.
        available: modality -> whether the utterance has it.
    """
    probabilities = {label: float(p) for label, p in zip(model.label_names, prediction.probabilities, strict=True)}
    weights = {modality: float(w) for modality, w in zip(sorted(available), prediction.weights, strict=True)}

    def describe_links(links: tuple[Link, ...]) -> list[dict[str, Any]]:
        return [
            {"utterance": ids[link.turn], "relation": link.relation, "weight": round(link.weight, 6)} for link in links
        ]

    record = {
        "conversation": name,
        "utterance": utterance.id,
        "speaker": utterance.speaker,
        "text": utterance.text or None,
        "start": utterance.start,
        "end": utterance.end,
        "emotion": max(probabilities, key=lambda label: probabilities[label]),
        "probabilities": {label: round(value, 6) for label, value in probabilities.items()},
        "weights": {modality: round(value, 6) for modality, value in weights.items()},
        "available": available,
        "uncertainty": round(prediction.uncertainty, 6),
        "influences": describe_links(prediction.influences),
        "edges": describe_links(prediction.edges),
    }
    return record | ({"label": utterance.label} if utterance.label else {})


def _available(available: dict[str, np.ndarray], row: int) -> dict[str, bool]:
    return {name: bool(values[row]) for name, values in available.items()}
