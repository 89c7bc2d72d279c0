"""Standard output and standard error as commands use them: what happens to them stops nothing that writes files.

A reader that closes the output, as `head` does, a full disk behind it, a terminal that knows no accents, and a stream
that was closed before the command began are all borne: what is printed is lost or replaced, and the work goes on.
"""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

OUTPUT_CLOSED = 141  # As shells report a program that SIGPIPE ended.
OUTPUT_FAILED = 2
INTERRUPTED = 130
# Where an interrupted import may leave a library half made, which then swallows the interrupt or fails elsewhere.
IMPORTING = "<frozen importlib._bootstrap>"


class _Output(io.RawIOBase):
    """A descriptor that is written to as long as that succeeds.

    Attributes:
        failure: the first error of writing, or None.
    """

    def __init__(self, descriptor: int) -> None:
        self.failure: OSError | None = None
        self._descriptor = descriptor

    def writable(self) -> bool:
        """Returns True."""
        return True

    def fileno(self) -> int:
        """Returns the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Returns whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, content: "memoryview | bytes") -> int:  # type: ignore[override]
        """Writes what it can, and takes the rest as written once writing has failed."""
        view = memoryview(content)
        while self.failure is None and len(view):
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                self.failure = error
        return len(memoryview(content))


_outputs: dict[str, _Output] = {}


def prepare_streams() -> None:
    """Makes the standard streams of this process bear everything; streams that a test has put in place are left."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # It was closed before the process began.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
            continue
        if stream is not getattr(sys, f"__{name}__") or not isinstance(stream, io.TextIOWrapper) or name in _outputs:
            continue
        stream.flush()
        output = _outputs[name] = _Output(stream.fileno())
        wrapped = io.TextIOWrapper(
            io.BufferedWriter(output),  # type: ignore[type-var]
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=name == "stderr" or output.isatty(),
        )
        setattr(sys, name, wrapped)


def is_output_lost() -> bool:
    """Returns whether standard output can no longer be written to."""
    return "stdout" in _outputs and _outputs["stdout"].failure is not None


def end_output(run: Callable[[], int]) -> int:
    """Runs a function that prints, and returns its exit code.

    Where that is 0 and not all of the output could be written, it is OUTPUT_CLOSED if its reader has closed it, and
    OUTPUT_FAILED, with a sentence on standard error, if it failed otherwise.
    """
    prepare_streams()
    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:  # Of a stream that was not made here.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    failure = _outputs["stdout"].failure if "stdout" in _outputs else None
    if code or failure is None:
        return code
    if failure.errno == errno.EPIPE:
        return OUTPUT_CLOSED
    print(f"error: standard output cannot be written ({failure.strerror}): files are complete", file=sys.stderr)
    return OUTPUT_FAILED


def interrupt_imports() -> None:
    """Has Ctrl-C end the process at once while a library is imported; at any other time it interrupts as usual."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    inside = frame
    while inside is not None:
        if inside.f_code.co_filename == IMPORTING:
            leave("interrupted: nothing was begun", INTERRUPTED)
        inside = inside.f_back
    raise KeyboardInterrupt


def leave(message: str, code: int) -> int:
    """Ends the process without anything that would still be done: threads of libraries would complain at length.

    Where the streams are not those of `prepare_streams`, as in a test, it prints the message and returns the code.
    """
    if not _outputs:
        print(message, file=sys.stderr)
        return code
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        os.write(2, f"{message}\n".encode(errors="replace"))
    except (OSError, ValueError, RuntimeError):
        pass
    os._exit(code)
