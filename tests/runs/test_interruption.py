"""Requests to stop: the first is noted, the second interrupts."""

import signal

import pytest

from macsgr_jax.runs.interruption import Interrupted, StopRequests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_the_second_interrupts(number: signal.Signals) -> None:
    with StopRequests() as stop:
        assert stop.received is None
        signal.raise_signal(number)
        assert stop.received is number
        for other in (signal.SIGINT, signal.SIGTERM):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(other)
        assert stop.received is number


def test_signals_do_what_they_did_before_afterwards() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    with pytest.raises(ZeroDivisionError), StopRequests() as stop:
        assert [signal.getsignal(number) for number in numbers] == [stop._note] * 2
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in numbers] == before
    assert StopRequests().received is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_exit_codes_are_those_of_shells(number: signal.Signals, code: int) -> None:
    stop = Interrupted("full: stopped after epoch 3", number)
    assert stop.exit_code == code and str(stop) == "full: stopped after epoch 3"
