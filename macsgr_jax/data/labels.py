"""The labels of a corpus: their counts, what is suspicious about them, and merging or leaving out some of them."""

import dataclasses
import difflib
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from macsgr_jax.data.corpus import SPLITS, UNLABELLED, Corpus, keep_utterances
from macsgr_jax.errors import InputError

FEW = 10  # An emotion with fewer utterances can hardly be learned.
# Shorter names that differ in one letter are mostly two emotions, such as sad and mad.
MIN_LETTERS = 5
COMMON_LETTERS = 4  # The number of first letters that make two names look like one emotion, as in happy and happiness.


def count_labels(corpus: Corpus) -> dict[str, dict[str, int]]:
    """Returns split -> emotion -> number of utterances, for the splits that have dialogues."""
    counts = {}
    for split in SPLITS:
        rows = corpus.labelled_of(split)
        if len(corpus.dialogues_of(split)):
            numbers = np.bincount(corpus.labels[rows], minlength=corpus.num_classes).tolist()
            counts[split] = dict(zip(corpus.label_names, numbers, strict=True))
    return counts


def describe_splits(corpus: Corpus) -> list[str]:
    """Returns one line per split: its dialogues, its utterances, and how many of them have each label."""
    counts = count_labels(corpus)
    lines = []
    for split in SPLITS:
        dialogues, utterances = len(corpus.dialogues_of(split)), len(corpus.utterances_of(split))
        parts = [f"{count} {label}" for label, count in counts.get(split, {}).items()]
        parts += [f"{count} without a label" for count in [count_unlabelled(corpus, split)] if count]
        lines.append(f"{split}: {dialogues} dialogues of {utterances} utterances{': ' * bool(parts)}{', '.join(parts)}")
    return lines


def count_unlabelled(corpus: Corpus, split: str) -> int:
    """Returns the number of utterances of a split that have no label."""
    return len(corpus.utterances_of(split)) - len(corpus.labelled_of(split))


def inspect_labels(corpus: Corpus) -> tuple[str, ...]:
    """Returns one sentence for each thing about the labels that may be a mistake: missing, rare, alike, numbers."""
    notices = []
    counts = count_labels(corpus)
    unlabelled = {split: count_unlabelled(corpus, split) for split in counts}
    if any(unlabelled.values()):
        told = ", ".join(
            f"{count} of {len(corpus.utterances_of(split))} in {split}" for split, count in unlabelled.items()
        )
        notices.append(f"Utterances without a label are context, and in no loss and no score: {told}.")
    for split, of in counts.items():
        absent = [label for label, count in of.items() if not count]
        if not any(of.values()):
            notices.append(f"The split {split} has no labels: it can be predicted, but not be learned from or scored.")
        elif absent:
            notices.append(f"The split {split} has no utterance with the label {_join(absent)}.")
    totals = {label: sum(of[label] for of in counts.values()) for label in corpus.label_names}
    few = [f"{label} ({count})" for label, count in totals.items() if 0 < count < FEW]
    if few:
        notices.append(f"Fewer than {FEW} utterances have the label {_join(few)}.")
    alike = [f"{a} and {b}" for a, b in itertools.combinations(corpus.label_names, 2) if _look_alike(a, b)]
    if alike:
        notices.append(
            f"Labels that look like one emotion: {'; '.join(alike)}. Merge them with --merge-labels of"
            " `macsgr import` if they are one."
        )
    numbers = [label for label in corpus.label_names if _is_number(label)]
    if numbers:
        notices.append(
            f"Labels that are numbers: {_join(numbers)}. Leave them out with --ignore-labels of `macsgr import`"
            " if they are none."
        )
    return tuple(notices)


def unify_case(corpus: Corpus) -> Corpus:
    """Merges labels that differ in case alone into their most frequent spelling, lower case if several are.

    Args:
        corpus: the corpus.

    Returns:
        The corpus, with a notice if there were such labels.
    """
    totals = np.bincount(corpus.labels[corpus.labels != UNLABELLED], minlength=corpus.num_classes)
    counts = dict(zip(corpus.label_names, totals.tolist(), strict=True))
    spellings: dict[str, list[str]] = {}
    for label in corpus.label_names:
        spellings.setdefault(label.casefold(), []).append(label)
    renamed = {}
    for found in spellings.values():
        best = max(found, key=lambda label: (counts[label], label.islower(), label))
        renamed.update({label: best for label in found if label != best})
    if not renamed:
        return corpus
    pairs = ", ".join(f"{label} as {best}" for label, best in renamed.items())
    notice = f"Labels that differ in case alone are one emotion: {pairs}."
    return dataclasses.replace(_rename(corpus, renamed), notices=(*corpus.notices, notice))


def merge_labels(corpus: Corpus, merges: Mapping[str, Sequence[str]]) -> Corpus:
    """Gives one name to labels that mean the same.

    Args:
        corpus: the corpus.
        merges: emotion -> the labels that become it, in any case; the emotion may be a label itself.

    Returns:
        The corpus with a notice of how many utterances changed.

    Raises:
        InputError: there is no such label, or one is to become two emotions.
    """
    renamed: dict[str, str] = {}
    for emotion, labels in merges.items():
        # An emotion that is a label already keeps its spelling.
        target = {label.casefold(): label for label in corpus.label_names}.get(emotion.casefold(), emotion)
        for label in labels:
            known = _find_label(corpus, label, "--merge-labels")
            if renamed.setdefault(known, target) != target:
                raise InputError(f"--merge-labels: {known} is to become {renamed[known]} and {target}: name it once")
    renamed = {label: target for label, target in renamed.items() if label != target}
    if not renamed:
        return corpus
    indices = [corpus.label_names.index(label) for label in renamed]
    changed = int(np.isin(corpus.labels, indices).sum())
    pairs = ", ".join(f"{label} as {target}" for label, target in renamed.items())
    notice = f"{changed} utterances got another label by --merge-labels: {pairs}."
    return dataclasses.replace(_rename(corpus, renamed), notices=(*corpus.notices, notice))


def leave_out_labels(corpus: Corpus, labels: Sequence[str]) -> tuple[Corpus, np.ndarray]:
    """Leaves out the utterances of some labels.

    Args:
        corpus: the corpus.
        labels: the labels, in any case.

    Returns:
        The corpus without these labels and their utterances, with a notice of how many there were; and i64[...], the
        utterances that are kept. A dialogue of which nothing is left is left out too.

    Raises:
        InputError: there is no such label, or nothing is left.
    """
    everything = np.arange(corpus.num_utterances)
    ignored = {_find_label(corpus, label, "--ignore-labels") for label in labels}
    if not ignored:
        return corpus, everything
    kept_names = tuple(label for label in corpus.label_names if label not in ignored)
    keep = ~np.isin(corpus.labels, [corpus.label_names.index(label) for label in ignored])
    if not kept_names:
        raise InputError("--ignore-labels leaves no utterance: keep some labels")
    smaller = keep_utterances(corpus, keep)
    indices = [kept_names.index(label) if label in kept_names else UNLABELLED for label in corpus.label_names]
    gone = corpus.num_dialogues - smaller.num_dialogues
    dialogues_gone = f", and {gone} dialogues that have no others" if gone else ""
    notice = f"{np.sum(~keep)} utterances with the label {_join(sorted(ignored))} are left out{dialogues_gone}."
    relabelled = dataclasses.replace(
        smaller,
        labels=_reindex(smaller.labels, indices),
        label_names=kept_names,
        notices=(*corpus.notices, notice),
    )
    return relabelled, np.flatnonzero(keep)


def _rename(corpus: Corpus, renamed: Mapping[str, str]) -> Corpus:
    names = tuple(dict.fromkeys(renamed.get(label, label) for label in corpus.label_names))
    indices = [names.index(renamed.get(label, label)) for label in corpus.label_names]
    return dataclasses.replace(corpus, labels=_reindex(corpus.labels, indices), label_names=names)


def _reindex(labels: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    """Returns i32[U], the new index of each label; UNLABELLED stays."""
    return np.append(indices, UNLABELLED)[labels].astype(np.int32)  # The last one is that of -1.


def _find_label(corpus: Corpus, label: str, option: str) -> str:
    """Returns the label of the corpus as it is spelled there."""
    if label in corpus.label_names:
        return label
    known = {name.casefold(): name for name in corpus.label_names}
    if label.casefold() in known:
        return known[label.casefold()]
    near = difflib.get_close_matches(label, corpus.label_names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(corpus.label_names)}"
    raise InputError(f"{option}: no utterance has the label {label!r}; {hint}")


def _look_alike(first: str, second: str) -> bool:
    one, other = sorted((first.casefold(), second.casefold()), key=len)
    if _is_number(one) or _is_number(other):
        return False
    if one == other or (len(one) >= COMMON_LETTERS - 1 and other.startswith(one)):
        return True
    if len(one) >= COMMON_LETTERS and one[:COMMON_LETTERS] == other[:COMMON_LETTERS]:
        return True
    return len(other) >= MIN_LETTERS and _differ_in_one_letter(one, other)


def _differ_in_one_letter(shorter: str, longer: str) -> bool:
    """Returns whether one letter was changed, left out or added."""
    if len(longer) - len(shorter) > 1:
        return False
    if len(longer) == len(shorter):
        return sum(a != b for a, b in zip(shorter, longer, strict=True)) == 1
    return any(longer[:position] + longer[position + 1 :] == shorter for position in range(len(longer)))


def _is_number(label: str) -> bool:
    try:
        float(label.replace(",", "."))
    except ValueError:
        return False
    return True


def _join(names: Sequence[str]) -> str:
    return ", ".join(names)
