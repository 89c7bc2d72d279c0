"""Speech features: the functionals of openSMILE over each utterance, cached by content in the user's cache folder."""

import hashlib
import importlib.metadata
import json
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError
from macsgr_jax.extras import require
from macsgr_jax.features.audio_io import read_clip
from macsgr_jax.features.audio_quality import Quality, describe_doubts, measure_quality
from macsgr_jax.features.loudness import compute_gains
from macsgr_jax.files import describe_os_error, is_file, read_npz, remove_abandoned, write_npz

KIND = "opensmile"
# Feature set -> openSMILE's name of it.
SETS = {"audio_egemaps": "eGeMAPSv02", "audio_compare": "ComParE_2016"}
RATE = 16_000
MIN_RATE = 8_000  # Below it, openSMILE's analysis has no bands; at 0 it frees its memory twice.
MIN_SECONDS = 0.06  # The longest analysis window.
LARGEST = 1 - 2.0**-15  # openSMILE reads 16 bits; 1 would become -1.
SILENCE = 1e-4  # The largest absolute sample of silence, where full scale is 1: -80 dB.


class Extracted(NamedTuple):
    """Features of some utterances.

    Attributes:
        values: f32[U, D], 0 where not measured.
        measured: bool[U], whether the utterance was measured.
        notices: one sentence for each reason why some were not, and one about those that can hardly be trusted.
    """

    values: np.ndarray
    measured: np.ndarray
    notices: tuple[str, ...]


def describe_speech(name: str, loudness: float | None = None) -> Extractor:
    """Describes a feature set of SETS as it is made here.

    Args:
        name: one of SETS.
        loudness: the level in dBFS that recordings get, as in `loudness.compute_gains`; None leaves them as they are.

    Returns:
        The extractor.

    Raises:
        InputError: the name is none of SETS, or openSMILE is not installed.
    """
    if name not in SETS:
        raise InputError(f"there are no speech features {name!r}: choose among {', '.join(SETS)}")
    try:
        version = importlib.metadata.version("opensmile")
    except importlib.metadata.PackageNotFoundError:
        raise InputError("speech features need the package opensmile: pip install 'macsgr-jax[speech]'") from None
    settings = {} if loudness is None else {"loudness": loudness}  # What is older does not say, and means none.
    return Extractor(
        {"kind": KIND, "set": SETS[name], "opensmile": version, "level": "functionals", "rate": RATE} | settings
    )


def extract_speech(
    extractor: Extractor,
    clips: Sequence[Clip | None],
    jobs: int = 1,
    on_clip: Callable[[], None] = lambda: None,
    cache: Path | None = None,
    conversations: Sequence[int] = (),
) -> Extracted:
    """Extracts the features of utterances; one that cannot be extracted counts as not measured.

    Args:
        extractor: as `describe_speech` returns it.
        clips: where the audio of each utterance is; None where there is none.
        jobs: the number of utterances to process at once.
        on_clip: called after each utterance.
        cache: the folder of features that were extracted before; by default in the user's cache folder.
        conversations: U numbers of conversations, whose clips have one loudness; by default they are all of one.

    Returns:
        The features; D is 88 for eGeMAPSv02 and 6373 for ComParE_2016.
    """
    store = _Cache(cache or Path(require("platformdirs", "speech").user_cache_dir("macsgr_jax")) / "features")
    smiles = threading.local()
    gains = np.ones(len(clips), np.float32)
    if "loudness" in extractor.description:
        gains = compute_gains(clips, conversations or [0] * len(clips), extractor.description["loudness"], jobs)

    def extract(clip: Clip | None, gain: np.float32) -> tuple[np.ndarray | str, Quality | None]:
        if not hasattr(smiles, "smile"):
            smiles.smile = _make_smile(extractor)
        found = ("no recording", None) if clip is None else _extract_one(smiles.smile, extractor, clip, gain, store)
        on_clip()
        return found

    width = len(_make_smile(extractor).feature_names)
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        found = list(pool.map(extract, clips, gains))
    extracted = [values for values, _ in found]
    measured = np.array([not isinstance(row, str) for row in extracted], bool)
    values = np.zeros((len(clips), width), np.float32)
    for row in np.flatnonzero(measured):
        values[row] = extracted[row]
    reasons = Counter(row for row in extracted if isinstance(row, str))
    notices = [f"speech: {count} of {len(clips)} utterances: {reason}" for reason, count in reasons.items()]
    if store.problem:
        notices.append(f"speech: the features are not kept for the next time ({store.problem}).")
    doubts = describe_doubts(clips, [quality for _, quality in found])
    return Extracted(values, measured, (*notices, *doubts))


class _Cache:
    """The folder of features that were extracted before: what cannot be read or written there is done without.

    Attributes:
        problem: why nothing can be kept; empty while it can.
    """

    def __init__(self, folder: Path) -> None:
        self.problem = ""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_abandoned(folder / "any.npz", "*")
        except OSError as error:
            self.problem = f"{folder}: {describe_os_error(error)}"

    def read(self, key: str, width: int) -> np.ndarray | None:
        """Returns f32[width], or None where there is nothing of this key, or it is damaged."""
        path = self._folder / f"{key}.npz"
        if not is_file(path):
            return None
        try:
            values = read_npz(path).get("values")
        except InputError:
            return None
        if values is None or values.shape != (width,) or values.dtype != np.float32 or not np.isfinite(values).all():
            return None
        return values

    def write(self, key: str, values: np.ndarray) -> None:
        """Keeps f32[width]."""
        if self.problem:
            return
        try:
            write_npz(self._folder / f"{key}.npz", {"values": values})
        except InputError as error:
            self.problem = str(error).partition(": ")[0]


def _make_smile(extractor: Extractor) -> Any:
    import opensmile

    return opensmile.Smile(
        feature_set=opensmile.FeatureSet[extractor.description["set"]],
        feature_level=opensmile.FeatureLevel.Functionals,
        sampling_rate=extractor.description["rate"],
        resample=True,
        mixdown=True,
    )


def _extract_one(
    smile: Any, extractor: Extractor, clip: Clip, gain: np.float32, cache: _Cache
) -> tuple[np.ndarray | str, Quality | None]:
    """Returns f32[D], or the reason why there is nothing; and the quality of the clip where it was read."""
    try:
        samples, rate = read_clip(clip)
    except InputError as error:
        if "Git LFS" in str(error):
            return "a placeholder of Git LFS: run `git lfs pull`", None
        return "missing file" if str(error).endswith("does not exist") else "unreadable file", None
    except (OSError, MemoryError):
        return "unreadable file", None
    if samples.shape[1] < MIN_SECONDS * rate:
        return f"shorter than {1000 * MIN_SECONDS:.0f} ms", None
    if not np.all(np.isfinite(samples)):
        return "damaged samples", None
    if np.max(np.abs(samples)) < SILENCE:
        return "silence", None
    quality = measure_quality(samples, rate)
    samples = np.clip(gain * samples, -1, np.float32(LARGEST))
    return _apply_smile(smile, extractor, samples, rate, cache), quality


def _apply_smile(smile: Any, extractor: Extractor, samples: np.ndarray, rate: int, cache: _Cache) -> np.ndarray | str:
    """Returns f32[D], from the cache where it is known, or the reason why there is nothing."""
    key = hashlib.sha256(json.dumps([extractor.description, rate, samples.shape], sort_keys=True).encode())
    key.update(samples.tobytes())
    kept = cache.read(key.hexdigest(), len(smile.feature_names))
    if kept is not None:
        return kept
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Of segments that are too short, which then are not finite.
        values = np.asarray(smile.process_signal(samples, rate), np.float32)[0]
    if not np.all(np.isfinite(values)):
        return "too short to measure"
    cache.write(key.hexdigest(), values)
    return values
