"""The command `macsgr predict`."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from macsgr_jax.cli.common import make_console, refuse_output
from macsgr_jax.errors import InputError

if TYPE_CHECKING:
    from macsgr_jax.data.transcripts.row import Row
    from macsgr_jax.runs.load import Model


@dataclasses.dataclass(frozen=True)
class Predict:
    """Predict the emotion of every utterance of a conversation.

    CONVERSATION is a CSV file, or JSON Lines, with one row per utterance: speaker, text, start and end in seconds, and
    optionally id, clip (an audio file) and label; or a folder of such files. The audio is one recording of the whole
    conversation, or one clip per utterance; text or audio may be missing anywhere. With --follow, JSON Lines are read
    from standard input as they come, and each is predicted at once.

    Attributes:
        conversation: The file or folder; none with --follow.
        model: The folder of `macsgr train` or `macsgr sweep`.
        out: JSON Lines to write, one per utterance; by default only a table is shown.
        recording: Audio or video of the whole conversation; by default the file of the same name beside it.
        follow: Predict standard input line by line; needs a network of --preset causal.
        seed: Seed of one network of the run; by default the probabilities of all of them are averaged.
        context: Utterances that a network sees at once: time and memory grow with it, not with the conversation.
        samples: Number of draws of the latent Gaussians, for the uncertainty.
        jobs: Audio clips to extract features from in parallel; 0 is one per core.
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
    """Loads the networks, predicts, prints a table and writes JSON Lines."""
    if command.context < 4 or command.samples < 1 or command.jobs < 0:
        raise InputError("--context must be at least 4, --samples at least 1, and --jobs at least 0")
    if (command.conversation is None) != command.follow:
        raise InputError("give one of them: a conversation, or --follow to read it from standard input")
    if command.out is not None and command.follow:
        raise InputError("--out is not for --follow, which prints its predictions: send them to a file with >")
    if command.out is not None:
        refuse_output(command.out, command.overwrite)
    from macsgr_jax.runs.load import load_model

    model = load_model(command.model, command.context, command.samples, command.seed, command.sentence_model)
    for notice in model.notices:
        _print_notice(notice)
    if command.conversation is None:
        follow(command, model)
    else:
        predict(command, command.conversation, model)


def predict(command: Predict, path: Path, model: "Model") -> None:
    """Predicts the conversations of a file or a folder."""
    from rich.progress import Progress

    from macsgr_jax.data.transcript import read_conversations
    from macsgr_jax.files import write_text
    from macsgr_jax.runs.predict import predict_conversations
    from macsgr_jax.runs.tables import as_screen_table, count_of

    console = make_console()
    conversations = read_conversations(path, command.recording)
    total = sum(len(conversation.utterances) for conversation in conversations)
    lines: list[str] = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("features", total=total)
        predicted = predict_conversations(
            model, conversations, jobs=command.jobs or os.cpu_count() or 1, on_utterance=lambda: progress.advance(bar)
        )
        for name, records, notices in predicted:
            for notice in notices:
                console.print(f"note: {name}: {notice}", soft_wrap=True)
            lines += [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records]
            console.print(as_screen_table(*make_table(records)))
    if command.out is not None:
        write_text(command.out, "\n".join(lines) + "\n")
        console.print(f"wrote {command.out}: {count_of(len(lines), 'utterance')}", soft_wrap=True)


def follow(command: Predict, model: "Model") -> None:
    """Predicts each line of standard input before the next one is read."""
    from macsgr_jax.runs.predict import predict_stream

    for record in predict_stream(model, _read_lines(), command.recording, _print_notice):
        print(json.dumps(record, ensure_ascii=False, allow_nan=False), flush=True)


def make_table(records: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of the table on the screen."""
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


def _print_notice(notice: str) -> None:
    print(f"note: {notice}", file=sys.stderr)


def _read_lines() -> "Iterator[Row]":
    """Yields each line of standard input that is not empty, as it comes.

    Raises:
        InputError: a line is not UTF-8, or no JSON object.
    """
    from macsgr_jax.data.transcripts.json_lines import parse_json_row

    for number, line in enumerate(iter(sys.stdin.buffer.readline, b""), 1):
        place = f"standard input: line {number}"
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(f"{place} is not UTF-8 text: write it as UTF-8") from None
        if text.strip():
            yield parse_json_row(text, place)
