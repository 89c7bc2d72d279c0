"""Predicts the emotions of new conversations with the networks of a run: from transcripts to records in JSON."""

import dataclasses
import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance, list_utterances
from macsgr_jax.data.repairs import Repairs
from macsgr_jax.data.transcript import Transcript, check_recording, to_corpus
from macsgr_jax.data.transcripts.json_lines import parse_json_row
from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.errors import InputError
from macsgr_jax.features.audio_io import check_inside, fit_clips
from macsgr_jax.features.channels import AUTO, MIX, assign_channels
from macsgr_jax.features.opensmile import SETS
from macsgr_jax.features.registry import apply_extractors
from macsgr_jax.files import exists
from macsgr_jax.inference.predictor import Link, Prediction, Turns
from macsgr_jax.inference.streaming import StreamingPredictor
from macsgr_jax.metrics import count
from macsgr_jax.runs.load import Model, standardize_turns
from macsgr_jax.runs.results import score_counts

MIN_PROBABILITY = 5e-7  # Half of the last digit of a record.

# Conversations are predicted together once they have this many utterances.
UTTERANCES_AT_ONCE = 2048


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
    channels: str | Mapping[str, int] = AUTO,
    strict: bool = False,
    on_utterance: Callable[[], None] = lambda: None,
    on_notice: Callable[[str], None] = lambda text: None,
    cache: Path | None = None,
) -> Iterator[PredictedConversation]:
    """Predicts the emotion of every utterance of some conversations.

    Args:
        model: the networks, of `load.load_model`.
        conversations: the conversations, of `data.transcript.read_conversations`.
        jobs: the number of audio clips whose features are extracted in parallel.
        channels: how recordings of several channels are read, as in `channels.assign_channels`.
        strict: whether to refuse utterances that lie outside their recordings, and labels that the networks do not
            know.
        on_utterance: called after each utterance whose features are extracted.
        on_notice: called with a sentence about labels that the networks do not know.
        cache: the folder of features of clips; by default in the user's cache folder.

    Yields:
        The predictions for each conversation.

    Raises:
        InputError: it is strict, and there are such utterances or labels, all of which are told.
    """
    utterances = list_utterances(conversations)
    labels = match_labels(model.label_names, utterances, strict)
    for notice in labels.notices:
        on_notice(notice)
    hears = any(name in SETS for name in model.extractors)
    if hears and strict:
        check_inside([utterance.clip for utterance in utterances], [utterance.where for utterance in utterances])
    waiting: list[_Extracted] = []
    for conversation in conversations:
        conversation = conversation._replace(
            utterances=[
                utterance._replace(label=labels.known.get(utterance.label, "")) for utterance in conversation.utterances
            ]
        )
        audio_notices: tuple[str, ...] = ()
        if hears:
            conversation, audio_notices = _place_clips(conversation, channels)
        corpus = extract_features(model, conversation, jobs, on_utterance, cache)
        turns = standardize_turns(model, corpus)
        waiting.append(_Extracted(conversation, turns, (*audio_notices, *corpus.notices)))
        if sum(len(one.conversation.utterances) for one in waiting) >= UTTERANCES_AT_ONCE:
            yield from _predict_extracted(model, waiting)
            waiting = []
    yield from _predict_extracted(model, waiting)


class _Extracted(NamedTuple):
    """A conversation with its features, and sentences about them."""

    conversation: Dialogue
    turns: Turns
    notices: tuple[str, ...]


def _predict_extracted(model: Model, waiting: Sequence[_Extracted]) -> Iterator[PredictedConversation]:
    predictions = model.predictor.predict_many([one.turns for one in waiting])
    for (conversation, turns, notices), found in zip(waiting, predictions, strict=True):
        ids = [utterance.id for utterance in conversation.utterances]
        records = [
            describe_prediction(model, conversation.name, utterance, prediction, ids, _available(turns.available, row))
            for row, (utterance, prediction) in enumerate(zip(conversation.utterances, found, strict=True))
        ]
        yield PredictedConversation(conversation.name, records, notices)


class ConversationStream:
    """Predicts a conversation that goes on, one utterance after the other, each before the next one is known.

    Args:
        model: causal networks.
        recording: the audio or video of the conversation, if there is one.
        channels: MIX, a channel per speaker, or AUTO, which mixes here, where the conversation is not known as a whole.
        strict: whether an utterance with faults is refused instead of being repaired.
        on_notice: called with a sentence where an utterance was repaired, or its audio or label cannot be used.
        name: the name of the conversation.
        state: a file of `save`; if it is there, the conversation goes on from it.
        allow_outside: whether clips may lie outside the folder in which the process runs.

    Raises:
        InputError: the networks see future utterances, there is no such recording, or the state is of other networks.
    """

    def __init__(
        self,
        model: Model,
        recording: Path | None = None,
        channels: str | Mapping[str, int] = AUTO,
        strict: bool = False,
        on_notice: Callable[[str], None] = lambda text: None,
        name: str = "follow",
        state: Path | None = None,
        allow_outside: bool = False,
    ) -> None:
        if not model.config.model.causal:
            raise InputError(
                f"--follow: the network of {model.run} looks ahead in the conversation: train one with --preset causal"
            )
        check_recording(recording)
        self._model, self._channels, self._strict, self._on_notice = model, channels, strict, on_notice
        self._predictor = StreamingPredictor(model.predictor)
        self._name = name
        self._ids: list[str] = []
        self._speakers: dict[str, int] = {}
        if state is not None and exists(state):
            before = self._predictor.resume(state)
            self._ids, self._speakers = before["ids"], before["speakers"]
        self._transcript = Transcript(recording, Path(), self._ids, allow_outside)

    def read(self, row: Row) -> Utterance:
        """Reads the next utterance, and repairs it or marks what cannot be used.

        Raises:
            InputError: it cannot be understood, or it is strict and there are faults.
        """
        model, repairs = self._model, Repairs()
        utterance = self._transcript.read(row, repairs)
        labels = match_labels(model.label_names, [utterance], self._strict)
        notices = list(labels.notices)
        repairs.settle(self._strict, notices.append)
        utterance = utterance._replace(label=labels.known.get(utterance.label, ""))
        if any(name in SETS for name in model.extractors) and utterance.clip is not None:
            channels, speaker = self._channels, utterance.speaker
            named = {} if isinstance(channels, str) else {name: channels[name] for name in channels if name == speaker}
            conversation, audio_notices = _place_clips(Dialogue(self._name, [utterance]), named or MIX)
            utterance = conversation.utterances[0]
            notices += audio_notices
        for notice in notices:
            self._on_notice(f"utterance {utterance.id}: {notice}")
        return utterance

    def predict(self, utterance: Utterance) -> dict[str, Any]:
        """Predicts the next utterance, of `read`, and returns its record.

        Raises:
            InputError: a feature set cannot be made.
        """
        corpus = extract_features(self._model, Dialogue(self._name, (utterance,)), jobs=1)
        for notice in corpus.notices if utterance.clip else ():  # Audio that was given, and cannot be used.
            self._on_notice(f"utterance {utterance.id}: {notice}")
        one = standardize_turns(self._model, corpus)
        number = self._speakers.setdefault(utterance.speaker, len(self._speakers))
        one = one._replace(speakers=np.array([number], np.int32))
        self._ids.append(utterance.id)
        prediction = self._predictor.update(one)
        available = _available(one.available, 0)
        return describe_prediction(self._model, self._name, utterance, prediction, self._ids, available)

    def save(self, state: Path) -> None:
        """Writes a file from which another stream of the same networks goes on.

        Raises:
            InputError: it cannot be written.
        """
        self._predictor.save(state, {"ids": self._ids, "speakers": self._speakers})


def predict_stream(
    model: Model,
    lines: Iterable[bytes],
    recording: Path | None = None,
    channels: str | Mapping[str, int] = AUTO,
    strict: bool = False,
    on_notice: Callable[[str], None] = lambda text: None,
    state: Path | None = None,
    allow_outside: bool = False,
) -> Iterator[dict[str, Any]]:
    """Predicts each utterance of a conversation that goes on, before the next one is read.

    Args:
        model: causal networks.
        lines: JSON Lines as they come, one utterance each; empty ones are skipped.
        recording: the audio or video of the conversation, if there is one.
        channels: as for `ConversationStream`.
        strict: whether a line with faults is answered with an error instead of being repaired.
        on_notice: called with a sentence where an utterance was repaired, or its audio or label cannot be used.
        state: a file that keeps the conversation between calls: read if it is there, written when the lines end.
        allow_outside: whether clips may lie outside the folder in which the process runs.

    Yields:
        The record of each utterance; or, for a line that cannot be understood, an object of `error`, a sentence, and
        `line`, its number. The conversation goes on without it.

    Raises:
        InputError: the networks see future utterances, there is no such recording, or the state is of other networks.
    """
    stream = ConversationStream(model, recording, channels, strict, on_notice, state=state, allow_outside=allow_outside)
    try:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                utterance = stream.read(_parse_line(line, f"standard input: line {number}"))
            except InputError as error:
                yield {"error": str(error), "line": number}
                continue
            yield stream.predict(utterance)
    finally:
        if state is not None:
            stream.save(state)


def _parse_line(line: bytes, where: str) -> Row:
    try:
        return parse_json_row(line.decode("utf-8-sig"), where)
    except UnicodeDecodeError:
        raise InputError(f"{where} is not UTF-8 text: write it as UTF-8") from None


class MatchedLabels(NamedTuple):
    """The labels of utterances as the networks call them.

    Attributes:
        known: label of the transcript -> emotion of the networks, those that they know.
        notices: a sentence about the others.
    """

    known: dict[str, str]
    notices: tuple[str, ...]


def match_labels(label_names: Sequence[str], utterances: Sequence[Utterance], strict: bool = False) -> MatchedLabels:
    """Finds the emotions that labels mean, whatever their case.

    Args:
        label_names: the emotions of the networks.
        utterances: the utterances, whose labels may be empty.
        strict: whether labels that are not among them are refused.

    Returns:
        The labels that are known.

    Raises:
        InputError: it is strict, and there are others, all of which are told.
    """
    plain = {name.casefold(): name for name in label_names} | {name: name for name in label_names}
    counts = Counter(utterance.label for utterance in utterances if utterance.label)
    known = {label: plain.get(label, plain.get(label.casefold(), "")) for label in counts}
    others = [label for label, name in known.items() if not name]
    notices: tuple[str, ...] = ()
    if others:
        first = next(utterance for utterance in utterances if utterance.label in others)
        told = ", ".join(f"{counts[label]} {label}{_suggest(label, label_names)}" for label in others)
        sentence = f"labels that are none of the network's {', '.join(label_names)}: {told}"
        if strict:
            raise InputError(f"{first.where}: {sentence}; correct them, or leave them out")
        notices = (f"{sentence} (first: {first.where}); these utterances are predicted and not scored.",)
    return MatchedLabels({label: name for label, name in known.items() if name}, notices)


def _suggest(label: str, label_names: Sequence[str]) -> str:
    near = difflib.get_close_matches(label.casefold(), label_names, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _place_clips(conversation: Dialogue, channels: str | Mapping[str, int]) -> tuple[Dialogue, tuple[str, ...]]:
    """Cuts clips at the end of their recordings, and chooses their channels; also returns what is to be told."""
    utterances = conversation.utterances
    fitted = fit_clips([utterance.clip for utterance in utterances])
    assigned = assign_channels(fitted.clips, [utterance.speaker for utterance in utterances], channels)
    placed = [utterance._replace(clip=clip) for utterance, clip in zip(utterances, assigned.clips, strict=True)]
    return conversation._replace(utterances=placed), (*fitted.notices, *assigned.notices)


def extract_features(
    model: Model,
    conversation: Dialogue,
    jobs: int,
    on_utterance: Callable[[], None] = lambda: None,
    cache: Path | None = None,
) -> Corpus:
    """Extracts the features that the networks read; returns the conversation as a corpus of one dialogue.

    Raises:
        InputError: a feature set cannot be made.
    """
    corpus = to_corpus([conversation], model.label_names)
    texts = [utterance.text for utterance in conversation.utterances]
    clips = [utterance.clip for utterance in conversation.utterances]
    made = apply_extractors(model.extractors, texts, clips, jobs, on_utterance, cache=cache)
    return dataclasses.replace(corpus, features=made.features, measured=made.measured, notices=made.notices)


def score_records(label_names: Sequence[str], records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Scores the predictions of labelled utterances.

    Args:
        label_names: the C emotions of the networks.
        records: the records of `describe_prediction`, with labels or without.

    Returns:
        `utterances`, the number of those that have a label; `labels`, the emotions in the order of the confusion; and
        the scores of `results.score_counts`. None where no utterance has a label.
    """
    labelled = [record for record in records if record.get("label") is not None]
    if not labelled:
        return None
    probabilities = np.array([[one["probabilities"][name] for name in label_names] for one in labelled], np.float64)
    labels = np.array([label_names.index(record["label"]) for record in labelled], np.int32)
    counts = count(np.log(np.maximum(probabilities, MIN_PROBABILITY)), labels, np.ones(len(labels), bool))
    scores = score_counts(counts, tuple(label_names))
    return {"utterances": len(labelled), "labels": list(label_names), **scores}


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
