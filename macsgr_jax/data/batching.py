"""Packs whole dialogues into rows of one length, as index arrays."""

import numpy as np

PADDING = -1

# How much the order of packing is shuffled, in decreasing order; the last one is plain decreasing length, which always
# fits the number of rows that was counted with it.
SHUFFLES = (1.0, 0.3, 0.1, 0.0)


def pack_dialogues(lengths: np.ndarray, slots: int, order: np.ndarray) -> list[list[int]]:
    """Packs whole dialogues into rows, each into the fullest row that still has room.

    Args:
        lengths: i64[dialogues], the number of utterances of each dialogue.
        slots: the number N of slots of a row.
        order: i64[...], the dialogues to pack, in the order of packing.

    Returns:
        The dialogues of each row.

    Raises:
        ValueError: a dialogue is longer than a row.
    """
    rows: list[list[int]] = []
    rows_by_room: list[list[int]] = [[] for _ in range(slots + 1)]
    for dialogue in order.tolist():
        length = int(lengths[dialogue])
        if length > slots:
            raise ValueError(f"dialogue {dialogue} has {length} utterances, a row {slots} slots")
        room = next((room for room in range(length, slots + 1) if rows_by_room[room]), None)
        if room is None:
            room = slots
            rows_by_room[slots].append(len(rows))
            rows.append([])
        row = rows_by_room[room].pop()
        rows[row].append(dialogue)
        rows_by_room[room - length].append(row)
    return rows


def order_by_length(lengths: np.ndarray, dialogues: np.ndarray) -> np.ndarray:
    """Sorts dialogues from the longest to the shortest, those of equal length in the order given."""
    return dialogues[np.argsort(-lengths[dialogues], kind="stable")]


def index_rows(offsets: np.ndarray, packed: list[list[int]], slots: int, rows: int) -> np.ndarray:
    """Computes the utterance of each slot.

    Args:
        offsets: i64[dialogues + 1], the first utterance of each dialogue.
        packed: the dialogues of each row.
        slots: the number N of slots of a row.
        rows: the number of rows of the result; those beyond `packed` are all padding.

    Returns:
        i32[rows, N], -1 where padded.
    """
    index = np.full((rows, slots), PADDING, np.int32)
    for row, dialogues in enumerate(packed):
        utterances = np.concatenate([np.arange(offsets[d], offsets[d + 1]) for d in dialogues])
        index[row, : len(utterances)] = utterances
    return index


def evaluation_rows(offsets: np.ndarray, dialogues: np.ndarray, slots: int, rows_per_step: int) -> np.ndarray:
    """Packs every dialogue once, tightly and the same way every time.

    Args:
        offsets: i64[dialogues + 1], the first utterance of each dialogue.
        dialogues: i64[...], the dialogues to pack.
        slots: the number N of slots of a row.
        rows_per_step: the number B of rows of a batch.

    Returns:
        i32[steps, B, N], -1 where padded.
    """
    lengths = np.diff(offsets)
    packed = pack_dialogues(lengths, slots, order_by_length(lengths, dialogues))
    steps = -(-len(packed) // rows_per_step)
    return index_rows(offsets, packed, slots, steps * rows_per_step).reshape(steps, rows_per_step, slots)


def epoch_rows(
    offsets: np.ndarray, dialogues: np.ndarray, slots: int, rows_per_step: int, rng: np.random.Generator
) -> np.ndarray:
    """Packs every dialogue once, at random, into arrays of the same shape in every epoch.

    Args:
        offsets: i64[dialogues + 1], the first utterance of each dialogue.
        dialogues: i64[...], the dialogues to pack.
        slots: the number N of slots of a row.
        rows_per_step: the number B of rows of a batch.
        rng: the only source of randomness.

    Returns:
        i32[steps, B, N], -1 where padded; rows without an utterance are spread over the steps.
    """
    lengths = np.diff(offsets)
    steps = count_steps(offsets, dialogues, slots, rows_per_step)
    rows = steps * rows_per_step
    shuffled = rng.permutation(dialogues)
    jitter = rng.random(len(shuffled))
    for amount in SHUFFLES:
        keys = (1.0 - amount) * lengths[shuffled] / slots + amount * jitter
        packed = pack_dialogues(lengths, slots, shuffled[np.argsort(-keys, kind="stable")])
        if len(packed) <= rows:
            break
    packed = [packed[row] for row in rng.permutation(len(packed))]
    index = index_rows(offsets, packed, slots, rows)
    # Row r goes to step r modulo steps, so that the empty rows at the end are spread over all steps.
    return index.reshape(rows_per_step, steps, slots).swapaxes(0, 1)


def shorten(lengths: np.ndarray, rate: float) -> np.ndarray:
    """Computes the lengths that remain when a fraction is removed: at least one, and never decreasing with the length.

    Args:
        lengths: i64[...], the lengths of dialogues or rows.
        rate: the fraction to remove.

    Returns:
        i64[...], the rounded lengths.
    """
    return np.maximum(1, np.rint((1.0 - rate) * lengths)).astype(np.int64)


def sample_utterances(offsets: np.ndarray, kept: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples utterances of every dialogue; those that remain form a shorter dialogue in the same order.

    Args:
        offsets: i64[dialogues + 1], the first utterance of each dialogue.
        kept: i64[dialogues], the number of utterances to keep of each dialogue.
        rng: the only source of randomness.

    Returns:
        i64[sum(kept)], the utterances.
    """
    lengths = np.diff(offsets)
    dialogue = np.repeat(np.arange(len(lengths)), lengths)
    rank = np.empty(len(dialogue), np.int64)  # A random rank of each utterance within its dialogue.
    rank[np.lexsort((rng.random(len(dialogue)), dialogue))] = np.arange(len(dialogue)) - offsets[dialogue]
    return np.flatnonzero(rank < kept[dialogue])


def count_steps(offsets: np.ndarray, dialogues: np.ndarray, slots: int, rows_per_step: int) -> int:
    """Returns the number of steps of an epoch, which is the same for every epoch."""
    lengths = np.diff(offsets)
    return -(-len(pack_dialogues(lengths, slots, order_by_length(lengths, dialogues))) // rows_per_step)


def choose_rows_per_step(lengths: np.ndarray, slots: int, dialogues_per_step: int) -> int:
    """Chooses B, at least 1, so that a step has about as many slots as `dialogues_per_step` average dialogues."""
    return max(1, round(dialogues_per_step * float(np.mean(lengths)) / slots))


def padding_fraction(index: np.ndarray) -> float:
    """Returns the fraction of slots that hold no utterance."""
    return float(np.mean(index == PADDING))
