"""What was wrong with transcripts and was repaired or marked unavailable: counted, and told in one sentence."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from macsgr_jax.errors import InputError

# Kind of fault -> the utterances that have it and what is done, behind their number.
FAULTS: Mapping[str, str] = {
    "no speaker": "without a speaker (they count as one speaker, unknown)",
    "no text": "without text and audio",
    "repeated id": "with the id of another one (named by their row)",
    "no time": "with a time that cannot be understood (it is not used)",
    "backwards": "with an end before the start (the times are not used)",
    "empty": "with an end at the start (the audio is not used)",
    "no end": "with a start and no end (each ends where the next one starts)",
    "open": "with a start and no end (the audio is not used)",
    "no start": "with an end and no start (it is not used)",
    "unsorted": "below one that starts later (sorted by start)",
    "out of order": "below one that starts later but has a smaller number (the order of the numbers is kept)",
    "overlap": "that overlap with one of the same speaker (kept as they are)",
    "untimed": "without times (the recording is not used for them)",
}


class Fault(NamedTuple):
    """One fault of an utterance.

    Attributes:
        kind: a key of FAULTS.
        where: file, row and utterance.
        detail: what is wrong, and what to do about it.
    """

    kind: str
    where: str
    detail: str


class Repairs:
    """The faults of any number of transcripts."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, kind: str, where: str, detail: str) -> None:
        """Adds a fault; see `Fault`."""
        self.faults.append(Fault(kind, where, detail))

    def count(self) -> dict[str, int]:
        """Returns kind of fault -> number of utterances, in the order of FAULTS, those that there are."""
        counts = {kind: sum(fault.kind == kind for fault in self.faults) for kind in FAULTS}
        return {kind: count for kind, count in counts.items() if count}

    def describe(self) -> str:
        """Returns one sentence that counts the faults of each kind; empty if there are none."""
        first = {fault.kind: fault.where for fault in reversed(self.faults)}
        parts = [f"{count} {FAULTS[kind]} (first: {first[kind]})" for kind, count in self.count().items()]
        return f"Utterances that were repaired or lack something: {'; '.join(parts)}." if parts else ""

    def settle(self, strict: bool, on_notice: Callable[[str], None]) -> None:
        """Tells the faults.

        Args:
            strict: whether they are refused.
            on_notice: called with the sentence of `describe` if there are faults that are not refused.

        Raises:
            InputError: they are refused; the message names all.
        """
        if not self.faults:
            return
        if strict:
            told = "; ".join(f"{fault.where}: {fault.detail}" for fault in self.faults)
            count = f"{len(self.faults)} faults: " if len(self.faults) > 1 else ""
            raise InputError(f"{count}{told}")
        on_notice(self.describe())
