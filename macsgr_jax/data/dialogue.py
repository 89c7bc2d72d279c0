"""Utterances and dialogues on their way into a corpus, as every reader and importer makes them."""

from collections.abc import Sequence
from typing import NamedTuple

from macsgr_jax.data.audio_clip import Clip


class Utterance(NamedTuple):
    """One utterance.

    Attributes:
        id: its name; no other utterance of the dialogue, or where a whole corpus is read of the corpus, has it.
        speaker: who speaks.
        text: what is said; empty where it is not known.
        label: its emotion; empty where it is not known.
        start: seconds from the beginning of the recording, or None.
        end: seconds from the beginning of the recording, or None.
        clip: where its audio is, or None.
        where: file, row and id, for messages; empty where no message needs it.
    """

    id: str
    speaker: str
    text: str = ""
    label: str = ""
    start: float | None = None
    end: float | None = None
    clip: Clip | None = None
    where: str = ""


class Dialogue(NamedTuple):
    """One dialogue.

    Attributes:
        name: its name, which no other dialogue has.
        utterances: at least one, in the order in which they begin.
        split: train, validation or test.
    """

    name: str
    utterances: Sequence[Utterance]
    split: str = "test"


def list_utterances(dialogues: Sequence[Dialogue]) -> list[Utterance]:
    """Returns the utterances of all dialogues, in their order."""
    return [utterance for dialogue in dialogues for utterance in dialogue.utterances]
