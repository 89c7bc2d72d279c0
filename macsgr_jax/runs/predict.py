"""Predicts the emotions of new conversations with the networks of a run: from transcripts to records in JSON."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance
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
    check_turns(model, [turn for conversation in conversations for turn in conversation.utterances])
    for conversation in conversations:
        corpus = extract_features(model, conversation, jobs, on_utterance)
        turns = standardize_turns(model, corpus)
        ids = [turn.id for turn in conversation.utterances]
        records = [
            describe_prediction(model, conversation.name, turn, prediction, ids, _available(turns.available, row))
            for row, (turn, prediction) in enumerate(
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
        turn = transcript.read(row)
        check_turns(model, [turn])
        conversation = Dialogue("follow", (turn,))
        corpus = extract_features(model, conversation, jobs=1)
        for notice in corpus.notices if turn.clip else ():  # Audio that was given, and cannot be used.
            on_notice(f"utterance {turn.id}: {notice}")
        one = standardize_turns(model, corpus)
        one = one._replace(speakers=np.array([speakers.setdefault(turn.speaker, len(speakers))], np.int32))
        ids.append(turn.id)
        prediction = predictor.update(one)
        yield describe_prediction(model, conversation.name, turn, prediction, ids, _available(one.available, 0))


def check_turns(model: Model, turns: Sequence[Utterance]) -> None:
    """Checks that utterances lie inside their recordings, and that their labels are known to the networks.

    Raises:
        InputError: one does not, or a recording cannot be read.
    """
    for turn in turns:
        if turn.label and turn.label not in model.label_names:
            raise InputError(f"{turn.where}: its label is {turn.label!r}, none of {', '.join(model.label_names)}")
    if any(name in SETS for name in model.extractors):
        check_inside([turn.clip for turn in turns], [turn.where for turn in turns])


def extract_features(
    model: Model, conversation: Dialogue, jobs: int, on_utterance: Callable[[], None] = lambda: None
) -> Corpus:
    """Extracts the features that the networks read; returns the conversation as a corpus of one dialogue.

    Raises:
        InputError: a feature set cannot be made.
    """
    corpus = to_corpus([conversation], model.label_names)
    texts, clips = [turn.text for turn in conversation.utterances], [turn.clip for turn in conversation.utterances]
    made = apply_extractors(model.extractors, texts, clips, jobs, on_utterance)
    return dataclasses.replace(corpus, features=made.features, measured=made.measured, notices=made.notices)


def describe_prediction(
    model: Model, name: str, turn: Utterance, prediction: Prediction, ids: Sequence[str], available: dict[str, bool]
) -> dict[str, Any]:
    """Returns the record of an utterance, as plain values.

    Args:
        model: the networks.
        name: the name of the conversation.
        turn: the utterance.
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
        "utterance": turn.id,
        "speaker": turn.speaker,
        "text": turn.text or None,
        "start": turn.start,
        "end": turn.end,
        "emotion": max(probabilities, key=lambda label: probabilities[label]),
        "probabilities": {label: round(value, 6) for label, value in probabilities.items()},
        "weights": {modality: round(value, 6) for modality, value in weights.items()},
        "available": available,
        "uncertainty": round(prediction.uncertainty, 6),
        "influences": describe_links(prediction.influences),
        "edges": describe_links(prediction.edges),
    }
    return record | ({"label": turn.label} if turn.label else {})


def _available(available: dict[str, np.ndarray], row: int) -> dict[str, bool]:
    return {name: bool(values[row]) for name, values in available.items()}
