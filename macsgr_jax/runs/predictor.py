"""Predicts conversations from Python: transcripts or lists of utterances in, typed predictions out."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.data.repairs import Repairs
from macsgr_jax.data.transcript import check_recording, make_conversation, read_conversations
from macsgr_jax.data.transcripts.json_lines import EXAMPLE, read_object
from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.errors import InputError
from macsgr_jax.extras import require
from macsgr_jax.features.channels import AUTO
from macsgr_jax.inference.records import PredictionRecord
from macsgr_jax.runs.load import Model, load_model
from macsgr_jax.runs.models import DEFAULT_MODEL, find_model
from macsgr_jax.runs.predict import ConversationStream, predict_conversations, score_records
from macsgr_jax.runs.prediction_files import make_rows

# An utterance as Python has it: a mapping with the keys of a transcript, an `Utterance`, or a text.
Spoken = Mapping[str, Any] | Utterance | str


@dataclasses.dataclass(frozen=True)
class Predictions(Sequence[PredictionRecord]):
    """The predictions of some conversations: a sequence of the records of their utterances, in order.

    Attributes:
        records: one record per utterance.
        scores: waa, waf1, confusion and the other scores of `runs.predict.score_records` where utterances have labels.
        notices: sentences on what was repaired or could not be used.
    """

    records: tuple[PredictionRecord, ...]
    scores: dict[str, Any] | None
    notices: tuple[str, ...]

    @overload
    def __getitem__(self, index: int) -> PredictionRecord: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PredictionRecord, ...]: ...
    def __getitem__(self, index: int | slice) -> PredictionRecord | tuple[PredictionRecord, ...]:
        """Returns the record of an utterance, or those of several."""
        return self.records[index]

    def __len__(self) -> int:
        """Returns the number of utterances."""
        return len(self.records)

    def __iter__(self) -> Iterator[PredictionRecord]:
        """Iterates over the records."""
        return iter(self.records)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns plain values: what `macsgr predict` writes as JSON Lines."""
        return [record.to_dict() for record in self.records]

    def to_pandas(self) -> Any:
        """Returns a `pandas.DataFrame`: one row per utterance, with the columns of the CSV of `macsgr predict`.

        Raises:
            InputError: pandas is not installed.
        """
        pandas = require("pandas", "pandas")
        head, rows = make_rows(self.to_dicts())
        return pandas.DataFrame(rows, columns=head)


class Stream:
    """Predicts the utterances of a conversation that goes on, one by one; `EmotionPredictor.stream` makes it.

    Attributes:
        notices: sentences on what was repaired or could not be used so far.
    """

    def __init__(self, model: Model, recording: Path | None, channels: str | Mapping[str, int], strict: bool) -> None:
        self.notices: list[str] = []
        self._stream = ConversationStream(model, recording, channels, strict, self.notices.append, allow_outside=True)
        self._length = 0

    def update(self, utterance: Spoken) -> PredictionRecord:
        """Predicts the next utterance from the conversation so far.

        Args:
            utterance: a mapping with the keys of a transcript (speaker, text, start, end, ...), an `Utterance`, or a
                text.

        Returns:
            Its prediction, which later utterances do not change.

        Raises:
            InputError: it cannot be understood; the conversation goes on without it.
        """
        self._length += 1
        heard = self._stream.read(_read_spoken(utterance, f"utterance {self._length}"))
        return PredictionRecord.from_dict(self._stream.predict(heard))


class EmotionPredictor:
    """Predicts the emotion of every utterance of conversations; `load_predictor` makes one.

    Args:
        model: the networks, of `runs.load.load_model`.

    Attributes:
        label_names: the emotions.
        notices: sentences that a user of the predictions should know.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.label_names = model.label_names
        self.notices = model.notices

    def predict(
        self,
        conversation: str | Path | Sequence[Spoken],
        recording: str | Path | None = None,
        *,
        channels: str | Mapping[str, int] = AUTO,
        strict: bool = False,
        allow_outside: bool = False,
        jobs: int = 0,
        name: str = "conversation",
        on_utterance: Callable[[], None] = lambda: None,
    ) -> Predictions:
        """Predicts every utterance of a conversation, or of all conversations of a file or folder.

        Args:
            conversation: the path of a transcript or of a folder of transcripts; or a list of utterances, each a
                mapping with the keys of a transcript (speaker, text, start, end, clip, label, id, dialogue, under any
                of their names), an `Utterance`, or a text.
            recording: audio or video of the whole conversation; of a transcript by default the file of the same name
                beside it.
            channels: auto, mix, speaker, or speaker -> channel, as for `macsgr predict`.
            strict: whether faults are refused, all of which are told, instead of being repaired.
            allow_outside: whether clips that a file names may lie outside its folder.
            jobs: the number of clips whose features are extracted in parallel; 0 is one per core.
            name: the name of the conversation where a list is given.
            on_utterance: called after each utterance whose features are extracted.

        Returns:
            The predictions, with the numbers of `macsgr predict`.

        Raises:
            InputError: a file or an utterance cannot be understood.
        """
        notices: list[str] = []
        found = None if recording is None else Path(recording)
        if isinstance(conversation, str | Path):
            path = Path(conversation)
            conversations = read_conversations(
                path, found, strict=strict, on_notice=notices.append, allow_outside=allow_outside
            )
        else:
            conversations = make_conversations(conversation, found, name, strict, notices.append)
        predicted = self.predict_conversations(
            conversations, channels=channels, strict=strict, jobs=jobs, on_utterance=on_utterance
        )
        return dataclasses.replace(predicted, notices=(*notices, *predicted.notices))

    def predict_conversations(
        self,
        conversations: Sequence[Dialogue],
        *,
        channels: str | Mapping[str, int] = AUTO,
        strict: bool = False,
        jobs: int = 0,
        cache: Path | None = None,
        on_utterance: Callable[[], None] = lambda: None,
    ) -> Predictions:
        """Predicts conversations that were read before; see `predict`.

        Args:
            conversations: the conversations, of `data.transcript.read_conversations` or `make_conversations`.
            channels: as for `predict`.
            strict: as for `predict`.
            jobs: as for `predict`.
            cache: the folder of features of clips; by default in the user's cache folder.
            on_utterance: as for `predict`.

        Returns:
            The predictions.

        Raises:
            InputError: it is strict, and there are faults.
        """
        notices: list[str] = []
        records: list[dict[str, Any]] = []
        for part in predict_conversations(
            self.model,
            conversations,
            jobs=jobs or os.cpu_count() or 1,
            channels=channels,
            strict=strict,
            on_utterance=on_utterance,
            on_notice=notices.append,
            cache=cache,
        ):
            records += part.records
            notices += [f"{part.name}: {notice}" for notice in part.notices]
        typed = tuple(PredictionRecord.from_dict(record) for record in records)
        return Predictions(typed, score_records(self.label_names, records), tuple(notices))

    def stream(
        self,
        recording: str | Path | None = None,
        *,
        channels: str | Mapping[str, int] = AUTO,
        strict: bool = False,
    ) -> Stream:
        """Begins a conversation that is predicted line by line, by networks that see nothing of the future.

        Args:
            recording: audio or video of the whole conversation, if there is one.
            channels: auto, which mixes here, mix, or speaker -> channel.
            strict: whether an utterance with faults is refused instead of being repaired.

        Returns:
            The conversation; its `update` predicts the next utterance.

        Raises:
            InputError: the networks look ahead, or there is no such recording.
        """
        return Stream(self.model, None if recording is None else Path(recording), channels, strict)


def load_predictor(
    model: str | Path = DEFAULT_MODEL,
    *,
    context: int = 512,
    samples: int = 16,
    seed: int | None = None,
    sentence_model: str = "",
) -> EmotionPredictor:
    """Loads the networks of a model for predictions.

    Args:
        model: the name of a model that ships (`macsgr models`), the folder of a run or of `macsgr publish`, or
            hf:USER/NAME.
        context: the number of utterances that a network sees together.
        samples: the number of draws of the latent Gaussians, for the uncertainty.
        seed: the seed of one network; by default the probabilities of all of them are averaged.
        sentence_model: where the sentence model of text_sentence is now, if it has moved: a name or a folder.

    Returns:
        The predictor.

    Raises:
        InputError: there is no such model, or it cannot be used here.
    """
    return EmotionPredictor(load_model(find_model(model), context, samples, seed, sentence_model))


def make_conversations(
    utterances: Sequence[Spoken],
    recording: Path | None,
    name: str,
    strict: bool,
    on_notice: Callable[[str], None],
) -> list[Dialogue]:
    """Makes conversations of a list of utterances, one per value of `dialogue`.

    Args:
        utterances: the utterances, as for `predict`.
        recording: the recording of the whole conversation, if there is one.
        name: the name of the conversation.
        strict: whether faults are refused.
        on_notice: called with a sentence on what was repaired.

    Returns:
        The conversations.

    Raises:
        InputError: an utterance cannot be understood.
    """
    check_recording(recording)
    if not len(utterances):
        raise InputError("an empty conversation: give one element per utterance")
    groups: dict[str, list[Row]] = {}
    for number, utterance in enumerate(utterances):
        row = _read_spoken(utterance, f"utterance {number}")
        groups.setdefault(row.values["dialogue"], []).append(row)
    if len(groups) > 1 and recording is not None:
        raise InputError(f"{recording} is for one conversation, and there are {len(groups)}: leave it out")
    repairs = Repairs()
    conversations = [
        make_conversation(f"{name}_{dialogue}" if len(groups) > 1 else name, rows, recording, repairs)
        for dialogue, rows in groups.items()
    ]
    repairs.settle(strict, on_notice)
    return conversations


def _read_spoken(utterance: Spoken, where: str) -> Row:
    if isinstance(utterance, Utterance):
        values = {name: getattr(utterance, name) for name in ("id", "speaker", "text", "label", "start", "end")}
        clip = utterance.clip
        if clip is not None and (clip.start or clip.end is not None or clip.channel is not None):
            raise InputError(f"{where}: give a part of a recording by start and end, and the recording by its name")
        return read_object(values | ({"clip": str(clip.path)} if clip is not None else {}), where)
    if isinstance(utterance, str):
        return read_object({"text": utterance}, where)
    if not isinstance(utterance, Mapping):
        raise InputError(f"{where} is of type {type(utterance).__name__}: give a mapping such as {EXAMPLE}, or a text")
    return read_object(dict(utterance), where)
