"""The command `macsgr predict`."""

import dataclasses
import itertools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from macsgr_jax.cli.common import make_console, refuse_output
from macsgr_jax.cli.screen import is_output_lost
from macsgr_jax.errors import InputError, show_message
from macsgr_jax.features.channels import parse_channels
from macsgr_jax.files import is_folder
from macsgr_jax.limits import MAX_CONTEXT, MAX_DRAWS, MAX_JOBS, check_option

if TYPE_CHECKING:
    from macsgr_jax.runs.load import Model

PAGE = ".html"


@dataclasses.dataclass(frozen=True)
class Predict:
    """Predict the emotion of every utterance of a conversation.

    CONVERSATION is a transcript: a table or JSON with one row per utterance (speaker, text, start, end, and optionally
    id, clip, label and dialogue), subtitles (SRT, WebVTT), a TextGrid, an EAF, RTTM, or lines `Name: sentence`; or a
    folder of such files. The audio is one recording of the whole conversation, or one clip per utterance; text or audio
    may be missing anywhere. With --follow, JSON Lines are read from standard input as they come, and each is predicted
    at once; a line that cannot be understood is answered with an error.

    Attributes:
        conversation: The file or folder; none with --follow.
        model: A model that ships (`macsgr models`), a folder of `macsgr train`, `macsgr sweep` or `macsgr publish`, or
            hf:USER/NAME of the Hugging Face hub; by default meld-text, for English text.
        out: File to write: .jsonl, .json (with scores and notes), .csv, .html (a page) or .parquet; by default only a
            table is shown.
        recording: Audio or video of the whole conversation; by default the file of the same name beside it.
        channels: Of recordings with several channels: mix takes their mean; speaker takes the channel where the speaker
            is loudest; auto does so where it is clear for all; or a channel per speaker, such as Ann=left,Bob=right.
        strict: Refuse transcripts with faults, and tell all of them, instead of repairing them.
        allow_outside: Read clips that lie outside the folder of their transcript.
        follow: Predict standard input line by line; needs a network of --preset causal.
        state: With --follow, a file that keeps the conversation between calls: read if it is there, and written when
            standard input ends.
        seed: Seed of one network of the run; by default the probabilities of all of them are averaged.
        context: Utterances that a network sees at once: time and memory grow with it, not with the conversation.
        samples: Number of draws of the latent Gaussians, for the uncertainty.
        jobs: Audio clips to extract features from in parallel; 0 is one per core.
        sentence_model: The sentence model of text_sentence, a name or a folder; needed unless it is the default one of
            `macsgr import`, since a folder of a run does not decide what is loaded.
        overwrite: Replace the file of --out.
    """

    conversation: tyro.conf.Positional[Path | None] = None
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = ""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    recording: Path | None = None
    channels: str = "auto"
    strict: bool = False
    allow_outside: bool = False
    follow: bool = False
    state: Path | None = None
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
    check_option("--context", command.context, 4, MAX_CONTEXT)
    check_option("--samples", command.samples, 1, MAX_DRAWS)
    check_option("--jobs", command.jobs, 0, MAX_JOBS)
    if (command.conversation is None) != command.follow:
        raise InputError("give one of them: a conversation, or --follow to read it from standard input")
    if command.out is not None and command.follow:
        raise InputError("--out is not for --follow, which prints its predictions: send them to a file with >")
    if command.state is not None and not command.follow:
        raise InputError("--state is for --follow: a conversation in a file is predicted as a whole")
    channels = parse_channels(command.channels)
    if command.out is not None:
        _check_output(command, command.out)
    from macsgr_jax.runs.load import load_model
    from macsgr_jax.runs.models import choose_default, find_model

    name = command.model or choose_default(command.follow)
    if not command.model:
        _print_notice(f"no --model is given: {name} is used, for English text (macsgr models {name} describes it)")
    model = load_model(find_model(name), command.context, command.samples, command.seed, command.sentence_model)
    for notice in model.notices:
        _print_notice(notice)
    if command.conversation is None:
        follow(command, model, channels)
    else:
        predict(command, command.conversation, model, channels)


def predict(command: Predict, path: Path, model: "Model", channels: str | dict[str, int]) -> None:
    """Predicts the conversations of a file or a folder."""
    from rich.progress import Progress

    from macsgr_jax.data.transcript import read_conversations
    from macsgr_jax.runs.models import name_model
    from macsgr_jax.runs.predict import predict_conversations, score_records
    from macsgr_jax.runs.tables import as_screen_table, count_of

    console = make_console()
    told = list(model.notices)

    def print_notice(notice: str) -> None:
        told.append(notice)
        console.print(f"note: {notice}", soft_wrap=True)

    conversations = read_conversations(
        path,
        command.recording,
        strict=command.strict,
        on_notice=print_notice,
        allow_outside=command.allow_outside,
    )
    if command.out is not None:
        clips = [utterance.clip for conversation in conversations for utterance in conversation.utterances]
        refuse_output(command.out, command.overwrite, list({clip.path for clip in clips if clip is not None}))
    total = sum(len(conversation.utterances) for conversation in conversations)
    found: list[dict[str, Any]] = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("features", total=total)
        predicted = predict_conversations(
            model,
            conversations,
            jobs=command.jobs or os.cpu_count() or 1,
            channels=channels,
            strict=command.strict,
            on_utterance=lambda: progress.advance(bar),
            on_notice=print_notice,
        )
        for name, records, notices in predicted:
            for notice in notices:
                print_notice(f"{name}: {notice}")
            found += records
            if command.out is None:
                console.print(as_screen_table(*make_table(records)))
    scores = score_records(model.label_names, found)
    if command.out is not None:
        # The file comes first: the screen may be closed, or full.
        _write(command.out, found, name_model(model.run), scores, told)
        for _, group in itertools.groupby(found, lambda record: str(record["conversation"])):
            console.print(as_screen_table(*make_table(list(group))))
    if scores is not None:
        for line in describe_scores(scores):
            console.print(line)
    if command.out is not None:
        console.print(f"wrote {command.out}: {count_of(len(found), 'utterance')}", soft_wrap=True)


def _check_output(command: Predict, out: Path) -> None:
    """Checks before the work is done that the predictions can be written, and replace nothing that is read."""
    from macsgr_jax.data.transcripts import FORMATS
    from macsgr_jax.runs.prediction_files import check_ending

    check_ending(out, [PAGE])
    inputs = [path for path in (command.conversation, command.recording) if path is not None]
    refuse_output(out, command.overwrite, inputs)
    folder = command.conversation
    into = folder is not None and is_folder(folder) and os.path.samefile(out.parent, folder)
    if into and out.suffix.lower() in FORMATS:
        raise InputError(f"{out} would be read as a conversation of {folder} the next time: write it elsewhere")


def _write(
    out: Path, records: list[dict[str, Any]], model: str, scores: dict[str, Any] | None, notices: list[str]
) -> None:
    from macsgr_jax.files import write_text
    from macsgr_jax.inference.records import PredictionRecord, group_records
    from macsgr_jax.runs.prediction_files import write_predictions
    from macsgr_jax.viewer import render_page
    from macsgr_jax.viewer.predictions import arrange

    if out.suffix.lower() != PAGE:
        write_predictions(out, records, model, scores, notices)
    else:
        write_text(out, render_page(arrange(group_records([PredictionRecord.from_dict(one) for one in records]))))


def describe_scores(scores: dict[str, Any]) -> list[Any]:
    """Returns what is printed of the scores of labelled utterances: a sentence, and tables by emotion and of errors."""
    from macsgr_jax.runs.tables import as_screen_table

    percent = {name: f"{100 * scores[name]:.1f} %" for name in ("waf1", "waa", "macro_f1")}
    sentence = (
        f"{scores['utterances']} labelled: WAF1 {percent['waf1']}, accuracy {percent['waa']}, macro-F1"
        f" {percent['macro_f1']}"
    )
    rows = []
    for label, counts in zip(scores["labels"], scores["confusion"], strict=True):
        values = scores["classes"][label]
        if sum(counts):
            rows.append([label, f"{100 * values['recall']:.0f} %", f"{100 * values['f1']:.0f} %", *map(str, counts)])
    return [sentence, as_screen_table(["label", "recall", "F1", *scores["labels"]], rows)]


def follow(command: Predict, model: "Model", channels: str | dict[str, int]) -> None:
    """Predicts each line of standard input before the next one is read."""
    from macsgr_jax.runs.predict import predict_stream

    if sys.stdin is None:
        raise InputError("--follow reads standard input, which is closed: give it the conversation")
    lines = iter(sys.stdin.buffer.readline, b"")
    options = (command.recording, channels, command.strict, _print_notice, command.state, command.allow_outside)
    for record in predict_stream(model, lines, *options):
        print(json.dumps(record, ensure_ascii=False, allow_nan=False), flush=True)
        if is_output_lost():  # Nobody reads the predictions any more.
            return


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
    print(f"note: {show_message(notice)}", file=sys.stderr)
