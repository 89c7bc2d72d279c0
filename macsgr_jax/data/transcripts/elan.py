"""ELAN's EAF: the tiers of participants, and the emotions that are annotated of them."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from macsgr_jax.data.transcripts.row import Row
from macsgr_jax.data.transcripts.tiers import LABELS, Span, Tier, make_rows
from macsgr_jax.errors import InputError

MAX_DIGITS = 15  # Of a time in milliseconds.


def parse_elan(path: Path, text: str, notices: list[str]) -> list[Row]:
    """Parses an EAF document.

    Args:
        path: the file, for messages.
        text: its content.
        notices: gets a sentence if tiers were left out.

    Returns:
        The rows, perhaps none: one per annotation that has text, whose speaker is the participant of its tier, or the
        name of the tier where it names none. Tiers that depend on another one are read if they hold emotions.

    Raises:
        InputError: the file is not EAF, or declares entities.
    """
    if not text.strip():
        return []
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{path} declares entities, which are not read: save it in ELAN again")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{path} is not XML ({error}): save it in ELAN again") from None
    if root.tag != "ANNOTATION_DOCUMENT":
        raise InputError(f"{path} is a document {root.tag} and not ELAN's: give an .eaf file")
    times = {slot.get("TIME_SLOT_ID"): _read_time(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    spans: dict[str, Span] = {}  # By annotation.
    pending: list[tuple[ElementTree.Element, list[tuple[str, str, str]]]] = []
    for element in root.iter("TIER"):
        annotations = []
        for one in (*element.iter("ALIGNABLE_ANNOTATION"), *element.iter("REF_ANNOTATION")):
            name = one.get("ANNOTATION_ID", "")
            said = one.findtext("ANNOTATION_VALUE") or ""
            if one.tag == "ALIGNABLE_ANNOTATION":
                spans[name] = Span(times.get(one.get("TIME_SLOT_REF1")), times.get(one.get("TIME_SLOT_REF2")), said)
            annotations.append((name, one.get("ANNOTATION_REF", ""), said))
        pending.append((element, annotations))
    parents = {name: parent for _, annotations in pending for name, parent, _ in annotations if parent}
    tiers, left_out = [], []
    for element, annotations in pending:
        name = element.get("TIER_ID", "")
        if element.get("PARENT_REF") and not LABELS.fullmatch(name):
            left_out.append(name)
            continue
        found = [_find_span(one, spans, parents)._replace(text=said) for one, _, said in annotations]
        tiers.append(Tier(name, element.get("PARTICIPANT") or name, tuple(found)))
    if left_out:
        notices.append(f"{path}: tiers that depend on others are not read: {', '.join(left_out)}.")
    return make_rows(path, tiers, notices)


def _read_time(milliseconds: str | None) -> float | None:
    known = milliseconds is not None and milliseconds.isdecimal() and len(milliseconds) <= MAX_DIGITS
    return int(milliseconds or 0) / 1000 if known else None


def _find_span(annotation: str, spans: dict[str, Span], parents: dict[str, str]) -> Span:
    """Returns the times of an annotation, or of the one that it refers to."""
    seen: dict[str, None] = {}
    while annotation not in spans and annotation in parents and annotation not in seen:
        seen[annotation] = None
        annotation = parents[annotation]
    found = spans.get(annotation, Span(None, None, ""))
    spans.update(dict.fromkeys(seen, found))  # So that a long chain is followed once.
    return found
