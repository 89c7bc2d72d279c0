"""Predictions to a conversation: windows, following, calibration, uncertainty and what an answer rests on."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from macsgr_jax.errors import InputError
from macsgr_jax.inference.predictor import (
    Prediction,
    Predictor,
    Turns,
    Window,
    make_batch,
    pack_windows,
    plan_windows,
    predict_rows,
)
from macsgr_jax.inference.streaming import StreamingPredictor, predict_newest
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


def make_predictor(
    *settings: str, context: int = 16, temperature: float = 1.0, samples: int = 2, seed: int = 0
) -> Predictor:
    config = tiny_config(*settings)
    row = make_batch(draw_turns(4), Window(0, 4, 0, 4), 16)
    params: Any = draw_params(build_network(config.model, 3), row)
    params = jax.tree.map(lambda values: (1 + seed / 2) * values, params)
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


def test_conversations_that_share_rows_are_predicted_as_alone() -> None:
    """Short ones in rows of several, long ones in several windows; the uncertainty too, whose draws are random."""
    conversations = [draw_turns(count, seed) for seed, count in enumerate((5, 40, 1, 16, 9, 30))]
    with compile_quickly():
        for causal in ("false", "true"):
            predictor = make_predictor(f"model.causal={causal}", context=20)
            compiled = predict_rows._cache_size()
            together = predictor.predict_many(conversations)
            # All lie in rows of 20 slots.
            assert predict_rows._cache_size() - compiled == 1
            for turns, predictions in zip(conversations, together, strict=True):
                for one, other in zip(predictions, predictor.predict(turns), strict=True):
                    assert_same(one, other)
    assert predictor.predict_many([]) == []


def test_short_conversations_share_rows_and_long_ones_lie_in_rows_of_their_length() -> None:
    lengths = [20, 300, 5, 128, 60, 512, 3]
    packed = pack_windows(lengths, context=512)
    assert sorted(packed) == [128, 512]
    assert sorted(index for rows in packed.values() for row in rows for index in row) == list(range(len(lengths)))
    assert [sorted(row) for row in packed[512]] == [[5], [1]]
    assert all(sum(lengths[index] for index in row) <= 128 for row in packed[128]) and len(packed[128]) == 2
    assert pack_windows([3], context=512) == {16: [[0]]}


def test_several_networks_are_the_mean_of_each() -> None:
    """They are one vmapped program, in a batch and in a stream."""
    turns = draw_turns(6)
    with compile_quickly():
        one, other = make_predictor("model.causal=true"), make_predictor("model.causal=true", seed=1)
        both = Predictor(one.config, 3, [one.params, other.params], [1.0, 1.0], 16, 2)
        alone, follower = [one.predict(turns), other.predict(turns)], StreamingPredictor(both)
        followed = [follower.update(first(turns, row + 1, row)) for row in range(6)]
        for first_one, second, mean, live in zip(*alone, both.predict(turns), followed, strict=True):
            for name in ("probabilities", "weights"):
                expected = (getattr(first_one, name) + getattr(second, name)) / 2
                np.testing.assert_allclose(getattr(mean, name), expected, atol=1e-5)
            assert_same(live, mean)


class TestManyConversations:
    """Several conversations of one stream."""

    def test_each_is_predicted_as_alone_with_one_program(self) -> None:
        """They begin, pause and end at different times, and one takes the place of another."""
        conversations = [draw_turns(count, seed) for seed, count in enumerate((30, 5, 12))]
        with compile_quickly():
            predictor = make_predictor("model.causal=true")
            before = predict_newest._cache_size()
            stream = StreamingPredictor(predictor, conversations=2)
            assert predict_newest._cache_size() - before == 1  # Before the first utterance, and never again.
            expected = [predictor.predict(turns) for turns in conversations]
            found: list[list[Prediction]] = [[], [], []]
            places = {0: 0, 1: 1}
            for step in range(36):
                live = [place for place, number in places.items() if len(found[number]) < len(expected[number])]
                live = [place for place in live if place == 0 or step % 2]  # The second is slower.
                turns = {
                    place: first(conversations[places[place]], len(found[places[place]]) + 1, len(found[places[place]]))
                    for place in live
                }
                for place, prediction in stream.update_many(turns).items():
                    found[places[place]].append(prediction)
                if len(found[1]) == 5 and places[1] == 1:
                    stream.restart(1)
                    places[1] = 2
            assert predict_newest._cache_size() - before == 1
        for predictions, others in zip(found, expected, strict=True):
            for one, other in zip(predictions, others, strict=True):
                assert_same(one, other)

    def test_a_saved_state_goes_on_where_it_was(self, tmp_path: Path) -> None:
        turns = draw_turns(14)
        with compile_quickly():
            predictor = make_predictor("model.causal=true")
            stream = StreamingPredictor(predictor)
            for row in range(10):
                stream.update(first(turns, row + 1, row))
            stream.save(tmp_path / "state.npz", {"ids": ["a"]})
            resumed = StreamingPredictor(predictor)
            assert resumed.resume(tmp_path / "state.npz") == {"ids": ["a"]}
            for row in range(10, 14):
                assert_same(resumed.update(first(turns, row + 1, row)), stream.update(first(turns, row + 1, row)))
            other = StreamingPredictor(make_predictor("model.causal=true", seed=1))
        with pytest.raises(InputError, match="saved by other networks"):
            other.resume(tmp_path / "state.npz")
        (tmp_path / "state.npz").write_bytes(b"PK damaged")
        with pytest.raises(InputError, match="is not the state of a stream"):
            resumed.resume(tmp_path / "state.npz")
        with pytest.raises(InputError, match="does not exist"):
            resumed.resume(tmp_path / "none.npz")

    def test_a_network_that_looks_ahead_is_refused(self) -> None:
        with compile_quickly(), pytest.raises(ValueError, match="not causal"):
            StreamingPredictor(make_predictor())
