"""Makes the example that ships: dialogues of our own sentences, acted by the speech synthesiser espeak-ng.

    python -m examples.spoken.make        from a checkout

It demonstrates the workflow from a recording to a page, and its accuracy is not meaningful: the synthesiser is told to
be slow and low where it should be sad, and so on, so that a small network has something to learn from audio and text.
"""

import csv
import dataclasses
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from examples.spoken.sentences import AMBIGUOUS, EXAMPLE, OPENINGS, SENTENCES
from macsgr_jax.cli.common import make_console, run_script
from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.corpus_file import save_corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance, list_utterances
from macsgr_jax.errors import InputError
from macsgr_jax.features.registry import add_features
from macsgr_jax.files import write_atomically, write_text

RATE = 16_000
GAP = 0.25  # Seconds between two utterances.
QUIET = 1e-3  # Where full scale is 1.
VOICES = ("en-us+m3", "en-us+f2", "en-gb+m7", "en-gb+f4")
LABELS = tuple(SENTENCES)
STAYS = 0.75  # The probability that an emotion lasts for another utterance.
FRACTIONS = (0.7, 0.15, 0.15)  # Of the dialogues, for each of SPLITS.


class Acting(NamedTuple):
    """How the synthesiser speaks.

    Attributes:
        speed: words per minute.
        pitch: 0 to 99.
        loudness: 0 to 200.
    """

    speed: int
    pitch: int
    loudness: int


ACTINGS = {
    "happy": Acting(175, 62, 100),
    "sad": Acting(120, 30, 60),
    "neutral": Acting(155, 48, 90),
    "angry": Acting(195, 55, 190),
    "excited": Acting(215, 80, 140),
    "frustrated": Acting(140, 40, 130),
}


@dataclasses.dataclass(frozen=True)
class Spoken:
    """Make spoken.npz to train on, and conversation/ to predict. Needs espeak-ng and openSMILE.

    Attributes:
        out: The folder to write into.
        dialogues: Dialogues of the corpus.
        utterances: Utterances of each dialogue.
        seed: Seed of everything random.
    """

    out: Path = Path(__file__).parent
    dialogues: int = 120
    utterances: int = 10
    seed: int = 0


def main(command: Spoken) -> None:
    """Makes the corpus, and the conversation with its recording and transcript."""
    rng = np.random.default_rng(command.seed)
    dialogues = [write_dialogue(rng, f"spoken_{n:03d}", command.utterances) for n in range(command.dialogues)]
    folder = command.out / "conversation"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {command.out} cannot be written ({error.strerror}): choose another folder") from None
    utterances = list_utterances(dialogues)
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(os.cpu_count()) as pool:
        clips = [Clip(Path(temporary) / f"{utterance.id}.wav") for utterance in utterances]
        actings = [vary(rng, ACTINGS[utterance.label]) for utterance in utterances]

        def record(utterance: Utterance, clip: Clip, acting: Acting) -> None:
            _write_wav(clip.path, speak(utterance, acting))

        list(pool.map(record, utterances, clips, actings))
        corpus = make_corpus(dialogues, rng)
        corpus = add_features(corpus, clips, ("text_lsa", "audio_egemaps"), jobs=os.cpu_count() or 1, columns=60)
    save_corpus(corpus, command.out / "spoken.npz")
    write_conversation(folder)
    console = make_console()
    console.print(f"wrote {command.out / 'spoken.npz'}: {len(dialogues)} dialogues of {command.utterances} utterances")
    console.print(f"wrote {folder}: conversation.wav, conversation.csv")


def write_dialogue(rng: np.random.Generator, name: str, length: int) -> Dialogue:
    """Writes a dialogue of two speakers: an emotion tends to last and to spread, and some sentences do not show it."""
    voices = rng.permutation(len(VOICES))[:2]
    emotion = str(rng.choice(LABELS))
    speaker = 0
    utterances = []
    for position in range(length):
        if position and rng.random() > STAYS:
            emotion = str(rng.choice(LABELS))
        text = str(rng.choice(AMBIGUOUS if rng.random() < 0.3 else SENTENCES[emotion]))
        if rng.random() < 0.3:
            text = f"{rng.choice(OPENINGS)} {text}"
        utterances.append(Utterance(f"{name}_{position:02d}", VOICES[voices[speaker]], text, emotion))
        speaker = 1 - speaker if rng.random() < 0.85 else speaker
    return Dialogue(name, utterances)


def vary(rng: np.random.Generator, acting: Acting) -> Acting:
    """Varies the acting at random, so that the emotions overlap."""
    factors = rng.normal(1.0, (0.12, 0.2, 0.3))
    low, high = (80, 5, 20), (260, 99, 200)
    values = np.clip(np.round(np.array(acting) * factors), low, high).astype(int)
    return Acting(*(int(value) for value in values))


def speak(utterance: Utterance, acting: Acting) -> np.ndarray:
    """Speaks an utterance, whose speaker is one of VOICES.

    Returns:
        i16[samples] at RATE.

    Raises:
        InputError: espeak-ng is not there, or fails.
    """
    options = ["-v", utterance.speaker, "-s", str(acting.speed), "-p", str(acting.pitch), "-a", str(acting.loudness)]
    try:
        done = subprocess.run(["espeak-ng", *options, "--stdout", utterance.text], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"espeak-ng cannot speak ({error}): install it, such as by apt install espeak-ng") from None
    import audresample
    import soundfile

    # The header of a wav that is piped does not know the length; the samples follow it.
    samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    resampled = audresample.resample(samples[None], rate, RATE)[0]
    loud = np.flatnonzero(np.abs(resampled) > QUIET)
    resampled = resampled[: loud[-1] + 1] if len(loud) else resampled  # espeak-ng ends with a silence.
    return np.round(np.clip(resampled, -1, 1) * np.iinfo(np.int16).max).astype(np.int16)


def make_corpus(dialogues: Sequence[Dialogue], rng: np.random.Generator) -> Corpus:
    """Makes the corpus of the dialogues, without features and split at random."""
    order = rng.permutation(len(dialogues))
    bounds = np.round(np.cumsum(FRACTIONS) * len(dialogues)).astype(int)
    split_of = {}
    for split, part in zip(SPLITS, np.split(order, bounds[:-1]), strict=True):
        split_of |= dict.fromkeys(part.tolist(), split)
    return Corpus.from_dialogues(
        "spoken",
        [dialogue._replace(split=split_of[number]) for number, dialogue in enumerate(dialogues)],
        LABELS,
        speaker_names=VOICES,
    )


def write_conversation(folder: Path) -> None:
    """Writes the recording of the example and its transcript."""
    audio: list[np.ndarray] = []
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["speaker", "start", "end", "text", "label"])
    time = 0.0
    for name, emotion, text in EXAMPLE:
        samples = speak(Utterance("", VOICES[0 if name == "Ann" else 1], text), ACTINGS[emotion])
        seconds = len(samples) / RATE
        writer.writerow([name, f"{time:.2f}", f"{time + seconds:.2f}", text, emotion])
        audio += [samples, np.zeros(round(GAP * RATE), np.int16)]
        time += seconds + GAP
    _write_wav(folder / "conversation.wav", np.concatenate(audio))
    write_text(folder / "conversation.csv", table.getvalue())


def _write_wav(path: Path, samples: np.ndarray) -> None:
    import soundfile

    with write_atomically(path) as temporary:
        soundfile.write(temporary, samples, RATE)


if __name__ == "__main__":
    sys.exit(run_script("examples.spoken.make", Spoken, main))
