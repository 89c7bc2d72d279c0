"""The sizes above which an input is refused, each a constant that the message names.

They are far above what the corpora of the field need, and low enough that no file takes the memory or the hours of a
machine. A user whose data really are larger sets the environment variable MACSGR_LIMITS to a factor, such as 4, by
which all of them grow.
"""

import os

from macsgr_jax.errors import InputError, quote

FACTOR_VARIABLE = "MACSGR_LIMITS"

# Files.
MAX_JSON_BYTES = 256 * 2**20  # A description or the results of a run.
MAX_TRANSCRIPT_BYTES = 64 * 2**20
MAX_TABLE_BYTES = 2**30  # A table or annotation of a release, or predictions.
MAX_PICKLE_BYTES = 8 * 2**30
MAX_ARRAY_BYTES = 16 * 2**30  # All arrays of an .npz file, unpacked.
MAX_ARRAYS = 10_000  # Of an .npz file.
MAX_SEQUENCE_BYTES = 2 * 2**30  # One array of an HDF5 file.

# Text.
MAX_NAME = 1_000  # Characters of an id, a speaker, a label or a dialogue.
MAX_TEXT = 100_000  # Characters of what one utterance says.
MAX_LABELS = 1_000
MAX_UTTERANCES = 10_000_000
MAX_PAIRS = 200_000_000  # Of utterances and segments that are compared with each other.
MAX_WORD = 100  # Characters of a word; longer ones are no words of a language, and are not read.

# Sound.
MIN_RATE, MAX_RATE = 1_000, 768_000  # Samples per second.
MAX_CHANNELS = 64
MAX_SAMPLES = 2**29  # Of one clip over all channels: three hours of one channel at 48 kHz, 2 GiB.

# Options.
MAX_SEED = 2**32 - 1  # What a key of JAX is made of.
MAX_SEEDS = 10_000
MAX_POINTS = 100_000  # Settings of a sweep.
MAX_EPOCHS = 1_000_000
MAX_JOBS = 1_024
MAX_DEVICES = 1_000_000
MAX_CONTEXT = 100_000
MAX_MINUTES = 366 * 24 * 60  # Of a search.
MAX_DRAWS = 10_000  # Draws of the latent Gaussians.


def allow(value: float, limit: float, what: str) -> None:
    """Checks that something is not larger than its limit.

    Args:
        value: its size.
        limit: one of the constants above.
        what: what has the size, such as "talk.csv has 70000000 bytes", for the message.

    Raises:
        InputError: it is larger.
    """
    raised = limit * read_factor()
    if value > raised:
        shown = int(raised) if raised == int(raised) else raised
        raise InputError(
            f"{what}, more than the {shown} that are read: is it the right one? If so, set {FACTOR_VARIABLE} to a"
            " factor by which the limits grow"
        )


def check_option(name: str, value: int, lowest: int, highest: int) -> None:
    """Checks that a number of the command line is within its limits.

    Args:
        name: the option, for the message.
        value: the number.
        lowest: the lowest number that is allowed.
        highest: the highest, one of the constants above.

    Raises:
        InputError: it is not.
    """
    if not lowest <= value <= highest:
        raise InputError(f"{name} must be at least {lowest} and at most {highest}, and is {quote(value)}")


def read_factor() -> float:
    """Returns the factor by which the user raised the limits, 1 by default.

    Raises:
        InputError: the variable is set, and is no number from 1 on.
    """
    text = os.environ.get(FACTOR_VARIABLE, "")
    try:
        factor = float(text) if text else 1.0
    except ValueError:
        factor = 0.0
    if not 1 <= factor < float("inf"):
        raise InputError(f"{FACTOR_VARIABLE}={text}: set it to a number from 1 on, by which the limits are multiplied")
    return factor
