"""The exception that reaches a user as one sentence instead of a traceback, and how such sentences tell names."""

MAX_QUOTED = 120  # Characters of a name in a message.
MAX_MESSAGE = 20_000  # Characters of a whole message.
MAX_RUN = 400  # Characters without a space in a message.
# Letters that are written together or apart, as in Persian and in emojis; and spaces of other widths.
JOINERS, SPACES = "\u200c\u200d", "\u00a0\u2007\u2009\u202f\u3000"


def quote(name: object, limit: int = MAX_QUOTED) -> str:
    """Returns a name as it may be shown to people: printable, on one line, shortened.

    Args:
        name: what a file or a command line holds: an id, a label, a text, a path.
        limit: the number of characters above which the middle is left out.

    Returns:
        The name; what cannot be printed, or changes the direction of writing or the terminal, is escaped as in Python.
    """
    text = str(name)
    if len(text) > limit:
        ending = limit // 4
        text = f"{text[: limit - ending - 3]}...{text[len(text) - ending :]}"
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(letter: str) -> str:
    if letter.isprintable() or letter in JOINERS:
        return letter
    return " " if letter in SPACES else repr(letter)[1:-1]


def show_message(message: object) -> str:
    """Returns a message on one line, in which names from files cannot forge further lines or control the terminal."""
    text = quote(message, MAX_MESSAGE)
    if len(text) <= MAX_RUN:
        return text
    return " ".join(quote(word, MAX_RUN) for word in text.split(" "))


class InputError(ValueError):
    """Raised where the input of the user cannot be used.

    The message is one sentence that says what is wrong, where (file, row, utterance id), and what to do. The commands
    print it and exit with code 2. Whatever names it holds, it is printable and on one line.
    """

    def __init__(self, message: object = "") -> None:
        """Takes the sentence."""
        super().__init__(show_message(message))


class FullDiskError(InputError):
    """Raised where the disk is full, while threads of libraries may still be writing."""
