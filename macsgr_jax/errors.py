"""The exception that reaches a user as one sentence instead of a traceback."""


class InputError(ValueError):
    """Raised where the input of the user cannot be used.

    The message is one sentence that says what is wrong, where (file, row, utterance id), and what to do. The commands
    print it and exit with code 2.
    """
