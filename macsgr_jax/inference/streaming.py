"""What trained causal networks say of a conversation while it is going on."""

from collections.abc import Sequence

import numpy as np

from macsgr_jax.inference.predictor import Answer, Predictor, Turns, Window


class StreamingPredictor:
    """Answers each utterance as it comes, in the same time however long the conversation is: for causal networks.

    What it says is what `Predictor.answer` says of the last utterance of what was heard so far.

    Args:
        predictor: of causal networks.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._heard = 0
        self._first = 0
        self._turns: list[Turns] = []

    def hear(self, turn: Turns) -> Answer:
        """The answer to the next utterance (U = 1)."""
        half = self._predictor.context // 2
        self._turns.append(turn)
        self._heard += 1
        if self._heard - self._first > self._predictor.context:
            self._first += half
            del self._turns[:half]
        last = self._heard - self._first
        so_far = _join(self._turns)
        answer = self._predictor.answer_window(so_far, Window(0, last, last - 1, last), self._predictor.context)[0]
        return answer._replace(
            influences=tuple(link._replace(turn=link.turn + self._first) for link in answer.influences),
            edges=tuple(link._replace(turn=link.turn + self._first) for link in answer.edges),
        )


def _join(turns: Sequence[Turns]) -> Turns:
    first = turns[0]
    return Turns(
        {name: np.concatenate([turn.features[name] for turn in turns]) for name in first.features},
        {name: np.concatenate([turn.available[name] for turn in turns]) for name in first.available},
        np.concatenate([turn.speakers for turn in turns]),
    )
