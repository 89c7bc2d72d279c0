"""Predicts a conversation line by line while it goes on, with causal networks."""

from collections.abc import Sequence

import numpy as np

from macsgr_jax.inference.predictor import Prediction, Predictor, Turns, Window


class StreamingPredictor:
    """Predicts each utterance from the conversation so far; an update takes the same time at any length.

    The prediction is that of `Predictor.predict` for the last utterance of the conversation so far.

    Args:
        predictor: a predictor of causal networks.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._length = 0
        self._first = 0
        self._turns: list[Turns] = []

    def update(self, turn: Turns) -> Prediction:
        """Predicts the next utterance (U = 1)."""
        half = self._predictor.context // 2
        self._turns.append(turn)
        self._length += 1
        if self._length - self._first > self._predictor.context:
            self._first += half
            del self._turns[:half]
        last = self._length - self._first
        so_far = _join(self._turns)
        prediction = self._predictor.predict_window(so_far, Window(0, last, last - 1, last), self._predictor.context)[0]
        return prediction._replace(
            influences=tuple(link._replace(turn=link.turn + self._first) for link in prediction.influences),
            edges=tuple(link._replace(turn=link.turn + self._first) for link in prediction.edges),
        )


def _join(turns: Sequence[Turns]) -> Turns:
    first = turns[0]
    return Turns(
        {name: np.concatenate([turn.features[name] for turn in turns]) for name in first.features},
        {name: np.concatenate([turn.available[name] for turn in turns]) for name in first.available},
        np.concatenate([turn.speakers for turn in turns]),
    )
