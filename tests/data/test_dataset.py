"""A corpus made ready: split, standardised on its training split alone, laid out in rows."""

import dataclasses
from typing import Annotated, Any, get_args, get_origin

import jax
import numpy as np
import pytest

from macsgr_jax.config import Config, TrainConfig
from macsgr_jax.data.corpus import SPLITS, Corpus
from macsgr_jax.data.dataset import Layout, PreparedCorpus, layout_of, prepare
from macsgr_jax.errors import InputError
from macsgr_jax.overrides import override, setting_names
from tests.testing.corpora import LENGTHS, make_corpus

# Every utterance is in every epoch.
WHOLE = ["train.utterance_dropout=0"]


def change_features(corpus: Corpus, split: str) -> Corpus:
    """The corpus with other values in the utterances of a split."""
    features = {name: values.copy() for name, values in corpus.features.items()}
    for values in features.values():
        values[corpus.utterances_of(split)] = 100 + 7 * values[corpus.utterances_of(split)]
    return dataclasses.replace(corpus, features=features)


def other_values(kind: Any, value: Any) -> list[str]:
    """Returns other values of a setting, as text; sizes and heads have to fit, so that one may be refused."""
    if isinstance(value, bool):
        return [str(not value)]
    if isinstance(value, str):
        return [choice for choice in get_args(kind) if choice != value]
    if isinstance(value, tuple):
        return ["text_small"]
    if isinstance(value, int):
        return [str(value + 7), str(2 * value), str(value // 2)]
    return [str(value / 2 if value else 0.25)]


def change_setting(config: Config, name: str) -> Config:
    """The configuration with another value of one setting."""
    kind, value = next((kind, value) for known, kind, value in setting_names(config) if known == name)
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    for text in other_values(kind, value):
        try:
            return override(config, [f"{name}={text}"])
        except InputError:
            continue
    raise AssertionError(f"no other value of {name} is accepted")


def list_arrays(prepared: PreparedCorpus) -> dict[str, np.ndarray]:
    """Everything that a training takes from its prepared data."""
    utterances = jax.tree_util.tree_flatten_with_path(prepared.utterances)[0]
    return {
        **{jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in utterances},
        **prepared.standardizer.to_arrays(),
        "split": prepared.corpus.split,
        "kept": prepared.kept,
        "training rows": prepared.epoch_rows(np.random.default_rng(0)),
        **{split: prepared.evaluation_rows(split) for split in SPLITS},
    }


@pytest.mark.parametrize("name", [name for name, _, _ in setting_names(Config())])
def test_prepared_data_depend_on_the_layout_alone(name: str) -> None:
    """A setting changes what `prepare` returns exactly if it changes the layout: one definition of the dependency."""
    corpus = make_corpus(lengths=(4, 3, 6, 2, 5, 3, 4, 2), splits=("train",) * 7 + ("test",))
    config = override(Config(), ["data.validation_fraction=0.4", "data.clip=1", "train.dialogues_per_step=3"])
    changed = change_setting(config, name)
    assert changed != config
    before, after = list_arrays(prepare(corpus, config)), list_arrays(prepare(corpus, changed))
    same = before.keys() == after.keys() and all(np.array_equal(before[key], after[key]) for key in before)
    assert same == (layout_of(changed) == layout_of(config))


def test_a_layout_is_a_key_and_prepares_like_its_config() -> None:
    config = override(Config(), ["train.utterance_dropout=0.25", "data.features=text_small"])
    layout = layout_of(config)
    assert isinstance(layout, Layout) and {layout: 1}[layout_of(override(config, ["model.dropout=0.1"]))] == 1
    first, second = list_arrays(prepare(make_corpus(), config)), list_arrays(prepare(make_corpus(), layout))
    assert first.keys() == second.keys()
    for key, values in first.items():
        np.testing.assert_array_equal(second[key], values)


@pytest.mark.parametrize("split", SPLITS)
def test_the_standardiser_sees_the_training_split_only(split: str) -> None:
    corpus = make_corpus()
    before, after = (prepare(one, Config()).standardizer for one in (corpus, change_features(corpus, split)))
    same = all(
        np.array_equal(getattr(before, part)[name], getattr(after, part)[name])
        for part in ("mean", "scale", "log_scale")
        for name in corpus.features
    )
    assert same == (split != "train")


def test_features_on_the_device_are_the_standardised_ones() -> None:
    corpus = make_corpus()
    prepared = prepare(corpus, override(Config(), ["data.clip=1.5"]))
    rows = corpus.utterances_of("train")
    for name, values in prepared.utterances.features.items():
        raw = corpus.features[f"{name}_small"].astype(np.float64)
        expected = np.clip((raw - raw[rows].mean(axis=0)) / raw[rows].std(axis=0), -1.5, 1.5)
        np.testing.assert_allclose(values, expected, atol=1e-5)


def test_a_standardiser_that_was_fitted_before_is_used() -> None:
    corpus = make_corpus()
    fitted = prepare(corpus, Config()).standardizer
    prepared = prepare(change_features(corpus, "train"), Config(), fitted)
    assert prepared.standardizer is fitted
    untouched = prepare(corpus, Config()).utterances.features["text"]
    held = corpus.utterances_of("test")
    np.testing.assert_array_equal(prepared.utterances.features["text"][held], untouched[held])


def test_what_is_not_measured_is_not_available_and_zero() -> None:
    corpus = make_corpus()
    corpus.measured["audio_small"][2] = False
    prepared = prepare(corpus, Config())
    assert not prepared.utterances.available["audio"][2] and prepared.utterances.available["audio"][3]
    assert prepared.utterances.available["text"][2]
    np.testing.assert_array_equal(prepared.utterances.features["audio"][2], 0)


def test_labels_speakers_and_dialogues_are_those_of_the_corpus() -> None:
    corpus = make_corpus()
    utterances = prepare(corpus, Config()).utterances
    assert utterances.labels.tolist() == corpus.labels.tolist()
    assert utterances.speakers.tolist() == corpus.speakers.tolist()
    assert utterances.dialogue.tolist() == [d for d, length in enumerate(LENGTHS) for _ in range(length)]


def test_validation_dialogues_are_held_out_where_there_are_none() -> None:
    corpus = make_corpus(splits=("train",) * 6 + ("test",) * 2)
    tasks = [prepare(corpus, override(Config(), [f"data.validation_seed={seed}"])) for seed in (0, 0, *range(1, 6))]
    held = [prepared.corpus.dialogues_of("validation").tolist() for prepared in tasks]
    assert held[0] == held[1] and len({tuple(dialogues) for dialogues in held}) > 1
    for prepared, dialogues in zip(tasks, held, strict=True):
        assert sorted(dialogues + prepared.corpus.dialogues_of("train").tolist()) == list(range(6)) and dialogues
        assert prepared.corpus.dialogues_of("test").tolist() == [6, 7]
        assert "held out for validation" in prepared.corpus.notices[-1]
    more = prepare(corpus, override(Config(), ["data.validation_fraction=0.7"])).corpus
    assert len(more.utterances_of("validation")) >= 0.7 * sum(LENGTHS[:6])


def test_a_validation_split_of_the_corpus_is_kept() -> None:
    corpus = make_corpus()
    assert prepare(corpus, Config()).corpus is corpus


def test_rows_hold_the_split_that_is_asked_for() -> None:
    prepared = prepare(make_corpus(), override(Config(), ["train.dialogues_per_step=2", *WHOLE]))
    for split in SPLITS:
        rows = prepared.evaluation_rows(split)
        assert sorted(rows[rows >= 0].tolist()) == prepared.corpus.utterances_of(split).tolist()
    rows = prepared.epoch_rows(np.random.default_rng(0))
    assert sorted(rows[rows >= 0].tolist()) == prepared.corpus.utterances_of("train").tolist()
    assert rows.shape == (prepared.steps_per_epoch, prepared.rows_per_step, prepared.slots)


def test_rows_are_as_long_as_the_longest_dialogue_of_any_split_unless_longer_ones_are_asked_for() -> None:
    corpus = make_corpus(lengths=(3, 2, 9), splits=("train", "validation", "test"))
    assert prepare(corpus, Config()).slots == 9
    assert prepare(corpus, override(Config(), ["data.slots_per_row=12"])).slots == 12


def test_features_wait_in_half_the_memory_where_that_is_asked_for() -> None:
    corpus = make_corpus()
    whole = prepare(corpus, Config()).utterances.features
    half = prepare(corpus, override(Config(), ["data.precision=float16"])).utterances.features
    for name, values in whole.items():
        assert (values.dtype, half[name].dtype) == (np.float32, np.float16)
        np.testing.assert_allclose(half[name], values, rtol=2**-10, atol=1e-6)


def test_features_beyond_float16_are_its_largest_number() -> None:
    corpus = make_corpus()
    features = {name: values.copy() for name, values in corpus.features.items()}
    name = min(features)
    features[name][corpus.utterances_of("test")[0], 0] = 1e9
    settings = ["data.precision=float16", "data.clip=0"]
    half = prepare(dataclasses.replace(corpus, features=features), override(Config(), settings)).utterances.features
    assert np.isfinite(half[min(half)]).all() and half[min(half)].max() == np.finfo(np.float16).max


def test_batches_follow_the_average_training_dialogue() -> None:
    """Training dialogues of 3 on average, rows of 9 slots: six of them fill two rows."""
    corpus = make_corpus(lengths=(2, 4, 9, 9), splits=("train", "train", "validation", "test"))
    prepared = prepare(corpus, override(Config(), ["train.dialogues_per_step=6", *WHOLE]))
    assert (prepared.rows_per_step, prepared.steps_per_epoch) == (2, 1)
    assert prepared.padding_fraction() == pytest.approx(1 - 6 / 18)


def test_rows_too_short_for_a_dialogue_are_refused() -> None:
    with pytest.raises(InputError, match=r"data\.slots_per_row = 5 is too short for dialogue talk2 of 6 utterances"):
        prepare(make_corpus(), override(Config(), ["data.slots_per_row=5"]))


def test_an_unknown_feature_set_is_refused_and_near_ones_are_named() -> None:
    with pytest.raises(InputError, match=r"no feature set 'text_smal' \(did you mean text_small"):
        prepare(make_corpus(), override(Config(), ["data.features=text_smal"]))


def test_features_of_another_width_than_the_standardiser_s_are_refused() -> None:
    fitted = prepare(make_corpus(), Config()).standardizer
    other = make_corpus()
    other.features["text_small"] = other.features["text_small"][:, :2]
    other.measured["text_small"] = other.measured["text_small"][:, :2]
    with pytest.raises(InputError, match="2 columns in text_small where the standardisation was fitted on 4"):
        prepare(other, Config(), fitted)


def test_utterance_dropout_thins_training_and_nothing_else() -> None:
    """Training dialogues of 2, 4 and 9 utterances keep 1, 2 and 4; rows of 12 slots become rows of 6."""
    corpus = make_corpus(lengths=(2, 4, 9, 12, 5), splits=("train", "train", "train", "validation", "test"))
    whole = prepare(corpus, override(Config(), WHOLE))
    thinned = prepare(corpus, Config(train=TrainConfig(utterance_dropout=0.5)))
    assert (whole.slots, whole.training_slots, thinned.slots, thinned.training_slots) == (12, 12, 12, 6)
    epochs = [thinned.epoch_rows(np.random.default_rng(seed)) for seed in range(20)]
    for rows in epochs:
        assert rows.shape == (thinned.steps_per_epoch, thinned.rows_per_step, 6)
        said = np.sort(rows[rows >= 0])
        np.testing.assert_array_equal(np.histogram(said, [0, 2, 6, 15])[0], [1, 2, 4])
        for row in rows.reshape(-1, 6):  # Dialogues are not torn, and go forward.
            dialogue = corpus.dialogue_of_utterance[row[row >= 0]]
            for one in np.unique(dialogue):
                places = np.flatnonzero(dialogue == one)
                assert np.all(np.diff(places) == 1) and np.all(np.diff(row[places]) > 0)
                assert len(places) == thinned.kept[one]
    assert len({tuple(np.sort(rows[rows >= 0])) for rows in epochs}) > 10
    tested = thinned.evaluation_rows("test")
    assert tested[tested >= 0].tolist() == corpus.utterances_of("test").tolist()
    assert thinned.padding_fraction() == pytest.approx(1 - 7 / np.prod(epochs[0].shape))
