"""Stopping on request: SIGTERM and Ctrl-C let the epoch under way end and its state be saved."""

import signal
from types import FrameType, TracebackType
from typing import Self

EXIT_CODES = {signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGINT: 128 + signal.SIGINT}


class Interrupted(Exception):
    """A training was stopped on request; the message says what was kept and how to go on."""

    def __init__(self, message: str, received: signal.Signals) -> None:
        """Message and cause."""
        super().__init__(message)
        self.received = received

    @property
    def exit_code(self) -> int:
        """As shells count: 128 and the signal's number."""
        return EXIT_CODES[self.received]


class StopRequests:
    """A context manager that notes the first signal to stop; a second one interrupts at once.

    Attributes:
        received: the signal, or None.
    """

    received: signal.Signals | None = None

    def __enter__(self) -> Self:
        """Listen."""
        self._before = {number: signal.signal(number, self._note) for number in EXIT_CODES}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Listen no more."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
