"""Make the example that ships: dialogues of our own sentences, acted by the speech synthesiser espeak-ng.

It stands for nothing but itself: the synthesiser is told to be slow and low where it should be sad, and so on, so that
a small network has something to learn from sound and words, and the way from a recording to a page can be walked.
"""

import csv
import dataclasses
import io
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from examples.spoken.sentences import AMBIGUOUS, EXAMPLE, OPENINGS, SENTENCES
from macsgr_jax.cli.common import make_console, run_script
from macsgr_jax.data.audio_clip import Clip
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import save_corpus
from macsgr_jax.errors import InputError
from macsgr_jax.features.registry import add_features
from macsgr_jax.files import write_atomically, write_text

RATE = 16_000
GAP = 0.25  # Seconds between two turns.
QUIET = 1e-3  # Of a largest sample of 1.
VOICES = ("en-us+m3", "en-us+f2", "en-gb+m7", "en-gb+f4")
LABELS = tuple(SENTENCES)
STAYS = 0.75  # How likely an emotion is to last for another turn.
SHARES = (0.7, 0.15, 0.15)


class Acting(NamedTuple):
    """How the synthesiser speaks.

    Attributes:
        speed: words a minute.
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
    """Make examples/spoken.npz to train on, and examples/conversation to predict. Needs espeak-ng and openSMILE.

    Attributes:
        out: The folder to write into.
        dialogues: Of the corpus.
        turns: Of each dialogue.
        seed: Of everything random.
    """

    out: Path = Path("examples")
    dialogues: int = 120
    turns: int = 10
    seed: int = 0


class Line(NamedTuple):
    """One turn to act.

    Attributes:
        speaker: index into VOICES.
        emotion: one of LABELS.
        text: the sentence.
    """

    speaker: int
    emotion: str
    text: str


def main(command: Spoken) -> None:
    """Lines -> sound -> features -> corpus; lines -> recording and transcript."""
    rng = np.random.default_rng(command.seed)
    scripts = [write_script(rng, command.turns) for _ in range(command.dialogues)]
    folder = command.out / "conversation"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {command.out} cannot be written ({error.strerror}): choose another folder") from None
    lines = [line for script in scripts for line in script]
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(os.cpu_count()) as pool:
        clips = [Clip(Path(temporary) / f"{row}.wav") for row in range(len(lines))]
        settings = [vary(rng, ACTINGS[line.emotion]) for line in lines]
        list(
            pool.map(
                lambda job: _write_wav(job[1].path, speak(job[0], job[2])), zip(lines, clips, settings, strict=True)
            )
        )
        corpus = add_features(
            make_corpus(scripts, rng), clips, ("text_lsa", "audio_egemaps"), jobs=os.cpu_count() or 1, columns=60
        )
    save_corpus(corpus, command.out / "spoken.npz")
    write_conversation(folder)
    console = make_console()
    console.print(f"wrote {command.out / 'spoken.npz'}: {len(scripts)} dialogues of {command.turns} turns")
    console.print(f"wrote {folder}: conversation.wav, conversation.csv")


def write_script(rng: np.random.Generator, turns: int) -> list[Line]:
    """A dialogue of two: an emotion tends to last and to spread, and some sentences say nothing of it."""
    voices = rng.permutation(len(VOICES))[:2]
    emotion = str(rng.choice(LABELS))
    speaker = 0
    lines = []
    for turn in range(turns):
        if turn and rng.random() > STAYS:
            emotion = str(rng.choice(LABELS))
        text = str(rng.choice(AMBIGUOUS if rng.random() < 0.3 else SENTENCES[emotion]))
        if rng.random() < 0.3:
            text = f"{rng.choice(OPENINGS)} {text}"
        lines.append(Line(int(voices[speaker]), emotion, text))
        speaker = 1 - speaker if rng.random() < 0.85 else speaker
    return lines


def vary(rng: np.random.Generator, acting: Acting) -> Acting:
    """No two actors do the same: the acting of emotions overlaps."""
    factors = rng.normal(1.0, (0.12, 0.2, 0.3))
    low, high = (80, 5, 20), (260, 99, 200)
    values = np.clip(np.round(np.array(acting) * factors), low, high).astype(int)
    return Acting(*(int(value) for value in values))


def speak(line: Line, acting: Acting) -> np.ndarray:
    """i16[samples] at RATE.

    Raises:
        InputError: espeak-ng is not there, or fails.
    """
    options = ["-v", VOICES[line.speaker], "-s", str(acting.speed), "-p", str(acting.pitch), "-a", str(acting.loudness)]
    try:
        done = subprocess.run(["espeak-ng", *options, "--stdout", line.text], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"espeak-ng cannot speak ({error}): install it, such as by apt install espeak-ng") from None
    import audresample
    import soundfile

    # The length in the head of a wav that is piped is unknown; the samples follow it.
    samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    resampled = audresample.resample(samples[None], rate, RATE)[0]
    loud = np.flatnonzero(np.abs(resampled) > QUIET)
    resampled = resampled[: loud[-1] + 1] if len(loud) else resampled  # espeak-ng ends with a silence.
    return np.round(np.clip(resampled, -1, 1) * np.iinfo(np.int16).max).astype(np.int16)


def make_corpus(scripts: list[list[Line]], rng: np.random.Generator) -> Corpus:
    """The dialogues without features, split at random."""
    lines = [line for script in scripts for line in script]
    order = rng.permutation(len(scripts))
    bounds = np.round(np.cumsum(SHARES) * len(scripts)).astype(int)
    split = np.empty(len(scripts), np.int8)
    for place, part in enumerate(np.split(order, bounds[:-1])):
        split[part] = place
    names = tuple(f"spoken_{number:03d}" for number in range(len(scripts)))
    return Corpus(
        name="spoken",
        features={},
        measured={},
        labels=np.array([LABELS.index(line.emotion) for line in lines], np.int32),
        label_names=LABELS,
        speakers=np.array([line.speaker for line in lines], np.int32),
        speaker_names=VOICES,
        offsets=np.cumsum([0, *map(len, scripts)]),
        dialogue_names=names,
        split=split,
        utterance_ids=tuple(
            f"{name}_{turn:02d}" for name, script in zip(names, scripts, strict=True) for turn in range(len(script))
        ),
        texts=tuple(line.text for line in lines),
        notices=(),
        sha256="",
    )


def write_conversation(folder: Path) -> None:
    """The example's recording and its transcript."""
    sound: list[np.ndarray] = []
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["speaker", "start", "end", "text", "label"])
    time = 0.0
    for name, emotion, text in EXAMPLE:
        samples = speak(Line(0 if name == "Ann" else 1, emotion, text), ACTINGS[emotion])
        seconds = len(samples) / RATE
        writer.writerow([name, f"{time:.2f}", f"{time + seconds:.2f}", text, emotion])
        sound += [samples, np.zeros(round(GAP * RATE), np.int16)]
        time += seconds + GAP
    _write_wav(folder / "conversation.wav", np.concatenate(sound))
    write_text(folder / "conversation.csv", table.getvalue())


def _write_wav(path: Path, samples: np.ndarray) -> None:
    import soundfile

    with write_atomically(path) as temporary:
        soundfile.write(temporary, samples, RATE)


if __name__ == "__main__":
    sys.exit(run_script("examples.spoken.make", Spoken, main))
