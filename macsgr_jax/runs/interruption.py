"""Stops a training on request: after SIGTERM or Ctrl-C the current epoch ends and its state is saved."""

import signal
from types import FrameType, TracebackType
from typing import Self

EXIT_CODES = {signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGINT: 128 + signal.SIGINT}


class Interrupted(Exception):
    """A training was stopped on request; the message says where."""

    def __init__(self, message: str, received: signal.Signals) -> None:
        """Takes the message and the signal."""
        super().__init__(message)
        self.received = received

    @property
    def exit_code(self) -> int:
        """The exit code of shells: 128 plus the number of the signal."""
        return EXIT_CODES[self.received]


class StoppedAtOnce(KeyboardInterrupt):
    """A second signal came before the first one had stopped the training."""

    def __init__(self, received: signal.Signals) -> None:
        """Takes the signal."""
        super().__init__("stopped at once")
        self.exit_code = EXIT_CODES[received]


class StopRequests:
    """A context manager that records the first signal to stop; a second one interrupts at once.

    Attributes:
        received: the signal, or None.
    """

    received: signal.Signals | None = None

    def __enter__(self) -> Self:
        """Installs the signal handlers."""
        self._before = {number: signal.signal(number, self._note) for number in EXIT_CODES}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restores the earlier signal handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise StoppedAtOnce(signal.Signals(number))
        self.received = signal.Signals(number)
