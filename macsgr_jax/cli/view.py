"""Show predicted conversations on one page: what was said, the emotions, and what the network looked at."""

import dataclasses
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pydantic
import tyro
from pydantic_core import PydanticCustomError

from macsgr_jax.cli.common import make_console, refuse_output, run_script
from macsgr_jax.errors import InputError
from macsgr_jax.files import write_text
from macsgr_jax.viewer import render_page

Relation = Literal["same speaker, past", "same speaker, future", "other speaker, past", "other speaker, future"]
ROUNDING = 1e-5  # How far a share may lie beyond 1 through rounding in float32.
ROUNDED_SUM = 0.02  # How far a sum of probabilities may lie from 1 when each was rounded to few digits.


def _check_share(value: float) -> float:
    if not 0 <= value <= 1 + ROUNDING:
        raise PydanticCustomError("share", "should lie between 0 and 1")
    return min(value, 1.0)


Share = Annotated[float, pydantic.AfterValidator(_check_share)]
Name = Annotated[str, pydantic.Field(min_length=1)]


@dataclasses.dataclass(frozen=True)
class Influence:
    """How much the semantic encoder attends to an utterance.

    Attributes:
        utterance: its id.
        weight: share of the attention.
    """

    utterance: Name
    weight: Share


@dataclasses.dataclass(frozen=True)
class Edge:
    """An edge of the semantic graph that ends in the predicted utterance.

    Attributes:
        utterance: where it begins.
        relation: that utterance's speaker and time as seen from here.
        weight: M^s of eq. 22.
    """

    utterance: Name
    relation: Relation
    weight: pydantic.FiniteFloat


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A line of the file; other keys are left aside.

    Attributes:
        conversation: its name.
        utterance: an id inside the conversation.
        speaker: who speaks.
        text: what is said, where it is known.
        start: seconds.
        end: seconds.
        emotion: the predicted one.
        probabilities: of every emotion.
        weights: of every modality in the fusion.
        available: which modalities the utterance has.
        uncertainty: an entropy over its greatest value: 0 is sure, 1 is a guess.
        influences: what the semantic encoder attends to most.
        edges: the edges of the semantic graph that end here.
        label: the true emotion, where it is known.
    """

    conversation: Name
    utterance: Name
    speaker: Name
    text: str | None
    start: pydantic.FiniteFloat | None
    end: pydantic.FiniteFloat | None
    emotion: Name
    probabilities: Annotated[dict[str, Share], pydantic.Field(min_length=1)]
    weights: dict[str, Share]
    available: dict[str, bool]
    uncertainty: Share
    influences: list[Influence]
    edges: list[Edge]
    label: Name | None = None


LINE = pydantic.TypeAdapter(Prediction)


@dataclasses.dataclass(frozen=True)
class View:
    """Render predicted conversations as one HTML page that needs no network.

    Attributes:
        predictions: JSON Lines, an utterance a line, in order of time.
        out: The page to write.
        overwrite: Replace the page that is there.
    """

    predictions: tyro.conf.Positional[Path]
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    overwrite: bool = False


def main(command: View) -> None:
    """JSON Lines -> checked predictions -> page."""
    if command.out.suffix != ".html":
        raise InputError(f"{command.out} should end in .html")
    refuse_output(command.out, command.overwrite)
    conversations = read_predictions(command.predictions)
    write_text(command.out, render_page(arrange(conversations)))
    talks, utterances = len(conversations), sum(map(len, conversations.values()))
    make_console().print(
        f"wrote {command.out}: {talks} conversation{'s' * (talks > 1)}, {utterances} utterance{'s' * (utterances > 1)}",
        highlight=False,
        soft_wrap=True,
    )


def read_predictions(path: Path) -> dict[str, list[Prediction]]:
    """Read and check the lines of a file.

    Args:
        path: JSON Lines, each line with the keys of `Prediction`.

    Returns:
        Conversation -> its utterances; both in the order of the file.

    Raises:
        InputError: the file or a line cannot be read, or lines contradict each other.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a JSON Lines file of predictions") from None
    conversations: dict[str, list[Prediction]] = {}
    numbers: dict[tuple[str, str], int] = {}
    emotions: list[str] = []
    previous = ""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        one = _parse(line, where)
        emotions = emotions or list(one.probabilities)
        _check(one, emotions, where)
        if one.conversation in conversations and one.conversation != previous:
            raise InputError(
                f"{where}: conversation {one.conversation!r} goes on after another: keep its lines together"
            )
        if (one.conversation, one.utterance) in numbers:
            first = numbers[one.conversation, one.utterance]
            raise InputError(
                f"{where}: utterance {one.utterance!r} is that of line {first}: give each an id of its own"
            )
        numbers[one.conversation, one.utterance] = number
        conversations.setdefault(one.conversation, []).append(one)
        previous = one.conversation
    if not conversations:
        raise InputError(f"{path} holds no prediction: make it again")
    _check_links(conversations, numbers, path)
    return conversations


def arrange(conversations: dict[str, list[Prediction]]) -> dict[str, Any]:
    """What the page draws, names said once and numbers in their place.

    Args:
        conversations: of `read_predictions`.

    Returns:
        The argument of `render_page`.
    """
    first = next(iter(conversations.values()))[0]
    emotions, relations = list(first.probabilities), list(get_args(Relation))
    arranged = []
    for name, turns in conversations.items():
        speakers = list(dict.fromkeys(turn.speaker for turn in turns))
        places = {turn.utterance: place for place, turn in enumerate(turns)}
        utterances = [
            {
                "speaker": speakers.index(turn.speaker),
                "text": turn.text,
                "start": turn.start,
                "end": turn.end,
                "emotion": emotions.index(turn.emotion),
                "label": None if turn.label is None else emotions.index(turn.label),
                "probabilities": [turn.probabilities[emotion] for emotion in emotions],
                "modalities": [[one, turn.weights.get(one, 0.0), there] for one, there in turn.available.items()],
                "uncertainty": turn.uncertainty,
                "edges": [[places[edge.utterance], relations.index(edge.relation), edge.weight] for edge in turn.edges],
                "influences": [[places[one.utterance], one.weight] for one in turn.influences],
            }
            for turn in turns
        ]
        arranged.append({"name": name, "speakers": speakers, "utterances": utterances})
    return {"emotions": emotions, "relations": relations, "conversations": arranged}


def _parse(line: bytes, where: str) -> Prediction:
    try:
        return LINE.validate_json(line, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise InputError(f"{where} is not JSON ({first['ctx']['error']}): make the file again") from None
        key = ".".join(str(part) for part in first["loc"]) or "the line"
        problem = "is missing" if first["type"] == "missing" else f"does not fit: {first['msg'].lower()}"
        raise InputError(f"{where}: {key} {problem}") from None


def _check(one: Prediction, emotions: list[str], where: str) -> None:
    """That the values of a line fit each other, and the first line's emotions."""
    if set(one.probabilities) != set(emotions):
        raise InputError(f"{where}: probabilities are not of {', '.join(emotions)}, as in the first line")
    total = math.fsum(one.probabilities.values())
    if abs(total - 1) > ROUNDED_SUM:
        raise InputError(f"{where}: probabilities sum to {total:.3f} instead of 1")
    for key, emotion in (("emotion", one.emotion), ("label", one.label)):
        if emotion is not None and emotion not in emotions:
            raise InputError(
                f"{where}: {key} is {emotion!r}, which has no probability: name one of {', '.join(emotions)}"
            )
    unknown = sorted(set(one.weights) - set(one.available))
    weightless = sorted(name for name, there in one.available.items() if there and name not in one.weights)
    if unknown:
        raise InputError(f"{where}: weights has {unknown[0]!r}, which is not in available: put it into both")
    if weightless:
        raise InputError(f"{where}: {weightless[0]!r} is available, but not in weights: put it into both")
    if one.start is not None and one.end is not None and one.end < one.start:
        raise InputError(f"{where}: end is {one.end:g}, before start, {one.start:g}")


def _check_links(conversations: dict[str, list[Prediction]], numbers: dict[tuple[str, str], int], path: Path) -> None:
    for name, turns in conversations.items():
        for turn in turns:
            for key, links in (("influences", turn.influences), ("edges", turn.edges)):
                named = Counter(link.utterance for link in links)
                wrong = [one for one, times in named.items() if (name, one) not in numbers or times > 1]
                if wrong:
                    problem = "twice" if (name, wrong[0]) in numbers else "which the conversation does not have"
                    where = f"{path}, line {numbers[name, turn.utterance]}"
                    raise InputError(f"{where}: {key} name utterance {wrong[0]!r}, {problem}: make the file again")


if __name__ == "__main__":
    sys.exit(run_script("macsgr_jax.cli.view", View, main))
