"""The one exception that reaches a user as a sentence instead of a traceback."""


class InputError(ValueError):
    """What the user handed in cannot be used.

    The message is one sentence that says what is wrong, where (file, row, utterance id), and what to do. The scripts
    print it and exit with code 2.
    """
