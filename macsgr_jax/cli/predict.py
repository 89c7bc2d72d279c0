"""Name the emotions of a conversation of one's own, or of one that is going on."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.markup import escape
from rich.progress import Progress

from macsgr_jax.cli.common import make_console, refuse_output, run_script
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.data.transcript import (
    Transcript,
    check_recording,
    read_conversations,
    to_corpus,
)
from macsgr_jax.data.transcripts.json_lines import parse_json_row
from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.errors import InputError
from macsgr_jax.features.audio_io import check_inside
from macsgr_jax.features.opensmile import SETS
from macsgr_jax.features.registry import apply_extractors
from macsgr_jax.files import write_text
from macsgr_jax.inference.predictor import Answer, Link
from macsgr_jax.inference.streaming import StreamingPredictor
from macsgr_jax.runs.model import Model, load_model, standardize_turns
from macsgr_jax.runs.tables import as_screen_table


@dataclasses.dataclass(frozen=True)
class Predict:
    """Name the emotion of every utterance of a conversation.

    CONVERSATION is a CSV file, or JSON Lines, with a row an utterance: speaker, text, start and end in seconds, and
    perhaps id, clip (a sound file) and label; or a folder of such files. The sound is one recording of the whole
    conversation, or a clip an utterance; text or sound may be missing anywhere. With --follow, JSON Lines are read from
    standard input as they come, and each is answered at once.

    Attributes:
        conversation: The file or folder; none with --follow.
        model: The folder that macsgr_jax.cli.train left.
        out: JSON Lines to write, one an utterance; by default only a table is shown.
        recording: Sound or film of the whole conversation; by default a file of the same name beside the conversation.
        follow: Answer standard input line by line; needs a network of --preset causal.
        seed: Of one network of the model; by default the probabilities of all of them are averaged.
        context: Utterances that are looked at together: time and memory grow with it, not with the conversation.
        samples: Draws of the latent Gaussians, for the uncertainty.
        jobs: Sounds to take features of at once; 0 is one a core.
        sentence_model: Where the sentence model of text_sentence is now, if it has moved: a name or a folder.
        overwrite: Replace the file of --out.
    """

    conversation: tyro.conf.Positional[Path | None] = None
    model: Annotated[Path, tyro.conf.arg(aliases=["-m"])] = Path("runs/example")
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    recording: Path | None = None
    follow: bool = False
    seed: int | None = None
    context: int = 512
    samples: int = 16
    jobs: int = 0
    sentence_model: str = ""
    overwrite: bool = False


def main(command: Predict) -> None:
    """Conversation -> features -> answers -> JSON Lines and a table."""
    if command.context < 4 or command.samples < 1 or command.jobs < 0:
        raise InputError("--context must be at least 4, --samples at least 1, and --jobs at least 0")
    if (command.conversation is None) != command.follow:
        raise InputError("give one of them: a conversation, or --follow to read it from standard input")
    if command.out is not None and command.follow:
        raise InputError("--out is not for --follow, which prints its answers: send them to a file with >")
    if command.out is not None:
        refuse_output(command.out, command.overwrite)
    model = load_model(command.model, command.context, command.samples, command.seed, command.sentence_model)
    console = make_console()
    for notice in model.notices:
        print(f"note: {notice}", file=sys.stderr)
    if command.conversation is None:
        follow(command, model)
        return
    conversations = read_conversations(command.conversation, command.recording)
    check_turns(model, [turn for conversation in conversations for turn in conversation.utterances])
    lines = []
    for conversation in conversations:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(escape(conversation.name), total=len(conversation.utterances))
            corpus = extract(model, conversation, command.jobs or os.cpu_count() or 1, lambda: progress.advance(task))  # noqa: B023
        for notice in corpus.notices:
            console.print(f"note: {conversation.name}: {notice}", highlight=False, soft_wrap=True)
        records = answer(model, conversation, corpus)
        lines += [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records]
        console.print(as_screen_table(*make_table(records)))
    if command.out is not None:
        write_text(command.out, "\n".join(lines) + "\n")
        console.print(f"wrote {command.out}: {len(lines)} utterances", highlight=False, soft_wrap=True)


def check_turns(model: Model, turns: Sequence[Utterance]) -> None:
    """See that utterances lie inside the recordings that the network hears, and that their labels are the network's.

    Raises:
        InputError: one does not, or a recording cannot be read.
    """
    for turn in turns:
        if turn.label and turn.label not in model.label_names:
            raise InputError(f"{turn.where}: its label is {turn.label!r}, none of {', '.join(model.label_names)}")
    if any(name in SETS for name in model.extractors):
        check_inside([turn.clip for turn in turns], [turn.where for turn in turns])


def extract(model: Model, conversation: Dialogue, jobs: int, on_clip: Any = lambda: None) -> Corpus:
    """A conversation with the features that the network reads, as a corpus of one dialogue.

    Raises:
        InputError: a feature set cannot be made.
    """
    corpus = to_corpus([conversation], model.label_names)
    texts, clips = [turn.text for turn in conversation.utterances], [turn.clip for turn in conversation.utterances]
    made = apply_extractors(model.extractors, texts, clips, jobs, on_clip)
    return dataclasses.replace(corpus, features=made.features, measured=made.measured, notices=made.notices)


def answer(model: Model, conversation: Dialogue, corpus: Corpus) -> list[dict[str, Any]]:
    """A record an utterance, as it is written."""
    turns = standardize_turns(model, corpus)
    answers = model.predictor.answer(turns)
    ids = [turn.id for turn in conversation.utterances]
    return [
        describe(model, conversation.name, turn, one, ids, {name: bool(a[row]) for name, a in turns.available.items()})
        for row, (turn, one) in enumerate(zip(conversation.utterances, answers, strict=True))
    ]


def follow(command: Predict, model: Model) -> None:
    """Answer each line of standard input before the next one is read.

    Raises:
        InputError: the network looks ahead, or a line cannot be understood.
    """
    if not model.config.model.causal:
        raise InputError(
            f"--follow: the network of {command.model} looks ahead in the conversation: train one with --preset causal"
        )
    check_recording(command.recording)
    transcript = Transcript(command.recording, Path())
    follower = StreamingPredictor(model.predictor)
    ids: list[str] = []
    speakers: dict[str, int] = {}
    for row in _read_lines():
        turn = transcript.read(row)
        check_turns(model, [turn])
        conversation = Dialogue("follow", (turn,))
        corpus = extract(model, conversation, jobs=1)
        for notice in corpus.notices if turn.clip else ():  # Sound that was given, and is not there.
            print(f"note: utterance {turn.id}: {notice}", file=sys.stderr)
        one = standardize_turns(model, corpus)
        one = one._replace(speakers=np.array([speakers.setdefault(turn.speaker, len(speakers))], np.int32))
        ids.append(turn.id)
        available = {name: bool(values[0]) for name, values in one.available.items()}
        record = describe(model, conversation.name, turn, follower.hear(one), ids, available)
        print(json.dumps(record, ensure_ascii=False, allow_nan=False), flush=True)


def describe(
    model: Model, name: str, turn: Utterance, answer: Answer, ids: list[str], available: dict[str, bool]
) -> dict[str, Any]:
    """What is written of an utterance."""
    probabilities = {label: float(p) for label, p in zip(model.label_names, answer.probabilities, strict=True)}
    weights = {modality: float(w) for modality, w in zip(sorted(available), answer.weights, strict=True)}

    def show(links: tuple[Link, ...]) -> list[dict[str, Any]]:
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
        "uncertainty": round(answer.uncertainty, 6),
        "influences": show(answer.influences),
        "edges": show(answer.edges),
    }
    return record | ({"label": turn.label} if turn.label else {})


def make_table(records: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows for the screen."""
    modalities = list(records[0]["weights"])
    rows = [
        [
            record["utterance"],
            record["speaker"],
            (record["text"] or "")[:40],
            record["emotion"],
            f"{100 * record['probabilities'][record['emotion']]:.0f} %",
            f"{100 * record['uncertainty']:.0f} %",
            *(f"{100 * record['weights'][name]:.0f} %" for name in modalities),
        ]
        for record in records
    ]
    return ["utterance", "speaker", "text", "emotion", "probability", "uncertainty", *modalities], rows


def _read_lines() -> Iterator[Row]:
    """Each line of standard input that holds anything, as it comes.

    Raises:
        InputError: a line is not UTF-8, or no JSON object.
    """
    for number, line in enumerate(iter(sys.stdin.buffer.readline, b""), 1):
        place = f"standard input: line {number}"
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(f"{place} is not UTF-8 text: write it as UTF-8") from None
        if text.strip():
            yield parse_json_row(text, place)


if __name__ == "__main__":
    sys.exit(run_script("macsgr_jax.cli.predict", Predict, main))
