"""Predictions to a conversation: windows, following, calibration, uncertainty and what an answer rests on."""

from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.inference.predictor import Prediction, Predictor, Turns, Window, make_batch, plan_windows
from macsgr_jax.inference.streaming import StreamingPredictor
from macsgr_jax.models import build_network
from tests.conftest import draw_params
from tests.testing.corpora import compile_quickly, tiny_config

SIZES = {"audio": 3, "text": 4}


def draw_turns(count: int, seed: int = 0) -> Turns:
    random = np.random.default_rng(seed)
    features = {name: random.normal(size=(count, size)).astype(np.float32) for name, size in SIZES.items()}
    available = {"audio": random.random(count) < 0.7, "text": np.ones(count, bool)}
    return Turns(features, available, random.integers(0, 2, count).astype(np.int32))


def first(turns: Turns, count: int, start: int = 0) -> Turns:
    return Turns(*jax.tree.map(lambda values: values[start:count], tuple(turns)))


def make_predictor(*settings: str, context: int = 16, temperature: float = 1.0, samples: int = 2) -> Predictor:
    config = tiny_config(*settings)
    row = make_batch(draw_turns(4), Window(0, 4, 0, 4), 16)
    params: Any = draw_params(build_network(config.model, 3), row)
    return Predictor(config.model, 3, [params], [temperature], context, samples)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("context", [8, 16, 20])
def test_windows_answer_everything_once_and_see_enough(context: int, causal: bool) -> None:
    for length in range(1, 100):
        windows = plan_windows(length, context, causal)
        answered = [turn for window in windows for turn in range(window.predict_from, window.predict_to)]
        assert answered == list(range(length))
        for window in windows:
            assert 0 < window.last - window.first <= context
            before = context // 2 if causal else context // 4
            assert window.predict_from == 0 or window.predict_from - window.first >= before
            if not causal:
                assert window.predict_to == length or window.last - window.predict_to >= context // 4


def test_following_says_what_a_batch_over_the_same_prefix_says() -> None:
    turns = draw_turns(40)
    with compile_quickly():
        predictor = make_predictor("model.causal=true", context=20)
        follower = StreamingPredictor(predictor)
        heard = [follower.update(first(turns, row + 1, row)) for row in range(40)]
        for length in (1, 5, 20, 21, 30, 31, 40):
            batch = predictor.predict(first(turns, length))
            for one, other in zip(heard[:length], batch, strict=True):
                assert_same(one, other)


def assert_same(one: Prediction, other: Prediction) -> None:
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-5)
    np.testing.assert_allclose(one.uncertainty, other.uncertainty, atol=1e-5)
    assert {link.turn for link in one.influences} == {link.turn for link in other.influences}
    assert [link.turn for link in one.edges] == [link.turn for link in other.edges]
    assert [link.relation for link in one.edges] == [link.relation for link in other.edges]
    np.testing.assert_allclose([e.weight for e in one.edges], [e.weight for e in other.edges], atol=1e-5)


def test_a_long_conversation_is_answered_as_its_parts_are() -> None:
    turns = draw_turns(40, seed=1)
    with compile_quickly():
        predictor = make_predictor()
        answers = predictor.predict(turns)
        part = predictor.predict(first(turns, 24, 8))
    assert len(answers) == 40
    # The second window is utterances 8 to 24, of which it answers 12 to 20.
    for one, other in zip(answers[12:20], part[4:12], strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        assert [link.turn for link in one.edges] == [link.turn + 8 for link in other.edges]


def test_answers_are_the_network_s_and_a_temperature_flattens_them() -> None:
    turns = draw_turns(6)
    with compile_quickly():
        plain, warm = (make_predictor(temperature=t) for t in (1.0, 3.0))
        one, other = plain.predict(turns), warm.predict(turns)
        both = Predictor(plain.config, 3, [plain.params] * 2, [1.0, 3.0], 16, 2).predict(turns)
    for sharp, flat, mean in zip(one, other, both, strict=True):
        wanted = sharp.probabilities ** (1 / 3)
        np.testing.assert_allclose(flat.probabilities, wanted / wanted.sum(), rtol=1e-4)
        np.testing.assert_allclose(mean.probabilities, (sharp.probabilities + flat.probabilities) / 2, rtol=1e-4)
        assert flat.uncertainty > sharp.uncertainty
        np.testing.assert_allclose([sharp.probabilities.sum(), sharp.weights.sum()], 1, rtol=1e-5)


def test_uncertainty_grows_with_the_spread_of_the_gaussians() -> None:
    turns = draw_turns(12, seed=3)
    with compile_quickly():
        narrow = make_predictor(samples=8)
        params = jax.tree.map(np.array, narrow.params)
        params["distribution"]["log_std_out"]["bias"] += 3.0
        wide = Predictor(narrow.config, 3, [params], [1.0], 16, 8)
        mean_narrow, mean_wide = (
            np.mean([answer.uncertainty for answer in one.predict(turns)]) for one in (narrow, wide)
        )
    assert 0 < mean_narrow < mean_wide <= 1


def test_edges_and_influences_are_those_of_the_window_and_the_dialogue() -> None:
    turns = draw_turns(9, seed=2)
    with compile_quickly():
        answers = make_predictor().predict(turns)  # A window of 2 past, 1 future.
    for row, answer in enumerate(answers):
        assert [link.turn for link in answer.edges] == [
            other for other in range(row - 2, row + 2) if 0 <= other < 9 and other != row
        ]
        for link in (*answer.edges, *answer.influences):
            same = turns.speakers[link.turn] == turns.speakers[row]
            when = "future" if link.turn > row else "past"
            assert link.relation == f"{'same' if same else 'other'} speaker, {when}"
            assert 0 <= link.weight <= 1 and link.turn != row
        weights = [link.weight for link in answer.influences]
        assert weights == sorted(weights, reverse=True) and 0 < sum(weights) < 1 and len(weights) == 5


def test_without_the_semantic_encoder_there_are_no_influences() -> None:
    with compile_quickly():
        answers = make_predictor("model.semantic_encoder=false").predict(draw_turns(3))
    assert all(answer.influences == () and answer.edges for answer in answers)
