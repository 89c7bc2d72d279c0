"""Which channel of a recording belongs to which speaker: calls are often recorded with one channel per speaker."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.errors import InputError
from macsgr_jax.features.audio_io import read_channels

AUTO, MIX, SPEAKER = "auto", "mix", "speaker"
SIDES = {"left": 0, "right": 1}
# How many times the energy of the other channels a speaker's own channel has: 10 dB.
CLEAR = 10.0


class AssignedChannels(NamedTuple):
    """Clips with the channels that were chosen for them.

    Attributes:
        clips: U clips, or None where there is no audio.
        notices: one sentence per recording whose channels were told apart, or could not be.
    """

    clips: list[Clip | None]
    notices: tuple[str, ...]


def parse_channels(text: str) -> str | dict[str, int]:
    """Parses the option --channels.

    Args:
        text: auto, mix, speaker, or speakers with their channels, such as "Ann=left,Bob=right" or "Ann=1,Bob=2".

    Returns:
        AUTO, MIX or SPEAKER, or speaker -> index of the channel.

    Raises:
        InputError: it is none of them.
    """
    if text in (AUTO, MIX, SPEAKER):
        return text
    mapping = {}
    for part in text.split(","):
        speaker, equals, channel = (piece.strip() for piece in part.rpartition("="))
        index = SIDES.get(channel.lower(), int(channel) - 1 if channel.isdecimal() else -1)
        if not (speaker and equals) or index < 0:
            raise InputError(
                f"--channels {text}: give {AUTO}, {MIX}, {SPEAKER}, or each speaker's channel, such as"
                " Ann=left,Bob=right or Ann=1,Bob=2"
            )
        mapping[speaker] = index
    return mapping


def assign_channels(
    clips: Sequence[Clip | None], speakers: Sequence[str], channels: str | Mapping[str, int] = AUTO
) -> AssignedChannels:
    """Chooses the channel from which each clip is read.

    Args:
        clips: U clips; None where there is no audio.
        speakers: U names of speakers.
        channels: MIX reads the mean of all channels; SPEAKER reads the channel in which the speaker is loudest, or
            the mean where that is not clear; AUTO does the same if it is clear for all speakers of a recording, and
            otherwise mixes; a mapping names the channel of each speaker, and the others are mixed.

    Returns:
        The clips, those of files that cannot be read as they were.

    Raises:
        InputError: a mapping names a speaker who does not speak.
    """
    if channels == MIX:
        return AssignedChannels(list(clips), ())
    if not isinstance(channels, str):
        return _assign_by_name(clips, speakers, channels)
    rows_of: dict[Path, list[int]] = {}
    for row, clip in enumerate(clips):
        if clip is not None:
            rows_of.setdefault(clip.path, []).append(row)
    assigned, notices = list(clips), []
    for path, rows in rows_of.items():
        if channels == AUTO and len({speakers[row] for row in rows}) < 2:
            continue
        energies = _measure_energies([clips[row] for row in rows], [speakers[row] for row in rows])
        own = {speaker: _find_own_channel(energy) for speaker, energy in energies.items()}
        clear = None not in own.values() and len(set(own.values())) > 1
        if channels == AUTO and not clear:
            continue
        for row in rows:
            clip = clips[row]
            assert clip is not None
            assigned[row] = clip._replace(channel=own.get(speakers[row]))
        if own:
            notices.append(f"{path}: {_describe(own)}")
    return AssignedChannels(assigned, tuple(notices))


def _assign_by_name(
    clips: Sequence[Clip | None], speakers: Sequence[str], channels: Mapping[str, int]
) -> AssignedChannels:
    # In a corpus the name of the conversation stands before that of the speaker.
    plain = [speaker.rpartition("/")[2] if speaker not in channels else speaker for speaker in speakers]
    for name in channels:
        if name not in plain:
            raise InputError(f"--channels: there is no speaker {name!r}; choose from {', '.join(dict.fromkeys(plain))}")
    assigned = [
        None if clip is None else clip._replace(channel=channels.get(speaker))
        for clip, speaker in zip(clips, plain, strict=True)
    ]
    return AssignedChannels(assigned, ())


def _measure_energies(clips: Sequence[Clip | None], speakers: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns speaker -> f64[channels], the energy in each channel; empty for one channel or an unreadable file."""
    energies: dict[str, np.ndarray] = {}
    for clip, speaker in zip(clips, speakers, strict=True):
        assert clip is not None
        try:
            samples, _ = read_channels(clip)
        except InputError:
            return {}  # It is told when features are extracted.
        if len(samples) < 2:
            return {}
        energies[speaker] = energies.get(speaker, 0.0) + np.square(samples, dtype=np.float64).sum(axis=1)
    return energies


def _find_own_channel(energy: np.ndarray) -> int | None:
    """Returns the channel that is clearly the loudest, or None."""
    order = np.argsort(-energy)
    return int(order[0]) if energy[order[0]] > CLEAR * energy[order[1]] else None


def _describe(own: Mapping[str, int | None]) -> str:
    def name(channel: int | None) -> str:
        return "the mean of all channels" if channel is None else f"channel {channel + 1}"

    parts = [f"{speaker} from {name(channel)}" for speaker, channel in own.items()]
    return f"each speaker is read from the channel where they are loudest ({', '.join(parts)})"
