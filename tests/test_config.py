"""Settings: replaced one by one, refused with a sentence, stored and read again, and documented."""

import dataclasses
import itertools
import json
import re
from typing import Any

import docstring_parser
import pytest

from macsgr_jax.cli.common import describe_settings
from macsgr_jax.config import Config
from macsgr_jax.errors import InputError
from macsgr_jax.overrides import from_json, override, setting_names, to_json
from macsgr_jax.presets import PRESETS

DEFAULT, LITERAL = (
    {name: value for name, _, value in setting_names(PRESETS[preset])} for preset in ("default", "literal")
)


def describe_fields() -> dict[str, str]:
    """Setting -> its text in the docstring of its class."""
    config = Config()
    return {
        f"{section.name}.{param.arg_name}": param.description or ""
        for section in dataclasses.fields(config)
        for param in docstring_parser.parse(type(getattr(config, section.name)).__doc__ or "").params
    }


def get_setting(config: Config, name: str) -> Any:
    section, field = name.split(".")
    return getattr(getattr(config, section), field)


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("model.window_past=5", 5),
        ("model.window_future=0", 0),
        ("train.learning_rate=1e-3", 1e-3),
        ("loss.offset_cross=-0.25", -0.25),
        ("model.dropout=0", 0.0),
        ("model.causal=true", True),
        ("loss.gate_positives=false", False),
        ("model.uncertainty=inverse", "inverse"),
        ("train.weight_decay_mode=decoupled", "decoupled"),
        ("data.features=text_a", ("text_a",)),
        ("data.features=text_a, audio_b", ("text_a", "audio_b")),
        (" train.epochs = 7 ", 7),
    ],
)
def test_override_sets_one_value_of_its_type(assignment: str, value: Any) -> None:
    name = assignment.split("=")[0].strip()
    changed = override(Config(), [assignment])
    found = get_setting(changed, name)
    assert found == value and type(found) is type(value) and found != get_setting(Config(), name)
    others = {other: get_setting(changed, other) for other in DEFAULT if other != name}
    assert others == {other: value for other, value in DEFAULT.items() if other != name}


def test_override_takes_the_last_of_two_and_leaves_the_first_configuration_alone() -> None:
    config = Config()
    assert override(config, ["train.epochs=3", "train.epochs=4", "model.window_past=1"]).train.epochs == 4
    assert config == Config() and override(config, []) == config


def test_settings_that_only_fit_together_can_be_set_in_any_order() -> None:
    assignments = ["model.fused_size=90", "model.fusion_heads=3", "model.semantic_heads=3"]
    for order in itertools.permutations(assignments):
        model = override(Config(), order).model
        assert (model.fused_size, model.fusion_heads, model.semantic_heads) == (90, 3, 3)


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("model.window_pst=5", r"no setting model\.window_pst; did you mean model\.window_past"),
        ("window_past=5", r"no setting window_past; did you mean .*model\.window_past"),
        ("epochs=5", r"no setting epochs; did you mean .*train\.epochs"),
        ("zzzzzz=1", r"no setting zzzzzz; --help lists all of them"),
        ("=1", r"no setting ; --help lists all of them"),
        ("model.window_past", r"--set model\.window_past: write it as NAME=VALUE"),
        ("model.hidden_size=many", r"--set model\.hidden_size=many: .*valid integer"),
        ("model.hidden_size=8.5", r"--set model\.hidden_size=8\.5: .*valid integer"),
        ("train.learning_rate=fast", r"--set train\.learning_rate=fast: .*valid number"),
        ("train.learning_rate=", r"--set train\.learning_rate=: .*valid number"),
        ("loss.gate_positives=maybe", r"--set loss\.gate_positives=maybe: .*valid boolean"),
        ("model.uncertainty=sideways", r"--set model\.uncertainty=sideways: .*'direct' or 'inverse'"),
        ("train.epochs=-1", r"--set train\.epochs=-1: .*greater than or equal to 0"),
        ("model.window_past=-1", r"--set model\.window_past=-1: .*greater than or equal to 0"),
        ("model.dropout=1", r"--set model\.dropout=1: .*less than 1"),
        ("model.dropout=-0.1", r"--set model\.dropout=-0\.1: .*greater than or equal to 0"),
        ("train.learning_rate=0", r"--set train\.learning_rate=0: .*greater than 0"),
        ("train.weight_decay=-1", r"--set train\.weight_decay=-1: .*greater than or equal to 0"),
        ("train.learning_rate=inf", r"--set train\.learning_rate=inf: .*finite"),
        ("data.clip=inf", r"--set data\.clip=inf: .*finite"),
        ("loss.offset_intra=nan", r"--set loss\.offset_intra=nan: .*finite"),
        ("model.fusion_heads=3", r"model\.fusion_heads = 3 .*model\.fused_size"),
        ("model.semantic_heads=4", r"model\.semantic_heads = 4 .*model\.fused_size"),
        ("model.distribution_heads=7", r"model\.distribution_heads = 7 .*model\.hidden_size"),
        ("model.hidden_size=151", r"model\.hidden_size = 151 .*even"),
        ("model.fused_size=101", r"model\.fused_size = 101 .*even"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(assignment: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        override(Config(), ["model.window_past=2", assignment])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_json_round_trip(preset: str) -> None:
    config = override(PRESETS[preset], ["data.features=text_a,audio_b"])
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"model": {"hiden_size": 8}}, r"model\.hiden_size"),
        ({"modle": {}}, "modle"),
        ({"model": {"hidden_size": "x"}}, r"model\.hidden_size: .*valid integer"),
        ({"train": {"epochs": -1}}, r"train\.epochs: .*greater than or equal to 0"),
        ({"model": {"fusion_heads": 3}}, r"model\.fusion_heads = 3"),
        ({"loss": 3}, "loss: "),
    ],
)
def test_stored_values_that_do_not_fit_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"does not fit this version: .*{sentence}"):
        from_json(values)


def test_every_setting_is_documented_and_nothing_else() -> None:
    texts = describe_fields()
    assert list(texts) == list(DEFAULT)
    assert all(texts.values())


def test_help_describes_every_setting_with_both_values() -> None:
    text = describe_settings()
    lines = text.splitlines()
    texts = describe_fields()
    for name, value in DEFAULT.items():
        place = next(index for index, line in enumerate(lines) if line.strip().startswith(f"{name}="))
        assert lines[place + 1].strip() == " ".join(texts[name].split())
        assert ("(literal: " in lines[place]) == (LITERAL[name] != value)
    assert "  model.residual=true (literal: false)" in lines


@pytest.mark.parametrize("name", list(DEFAULT))
def test_literal_takes_the_paper_s_value_or_printed_form_and_nothing_else_differs(name: str) -> None:
    """A docstring that has "(paper: 0.3)" or speaks of "literal" says what the literal preset does."""
    text = describe_fields()[name]
    value = re.search(r"\(paper: ([\w.-]+)\)", text)
    if value and value[1] != "unsaid":
        assert LITERAL[name] == (0 if value[1] == "none" else float(value[1]))
    else:
        assert (LITERAL[name] != DEFAULT[name]) == ("literal" in text)


@pytest.mark.parametrize(
    ("preset", "differences"),
    [
        (
            "iemocap",
            {
                "data.features": ("text_minilm", "text_lsa", "audio_mfcc", "audio_prosody"),
                "loss.class_balance": 0.0,
                "train.epochs": 60,
            },
        ),
        (
            "meld",
            {
                "data.features": ("text_minilm", "text_lsa", "text_use", "audio_prosody"),
                "loss.class_balance": 0.4,
                "loss.lambda_alignment": 0.2,
                "train.epochs": 20,
                "train.warmup_epochs": 2.0,
                "train.utterance_dropout": 0.2,
            },
        ),
        (
            "mosi",
            {"loss.class_balance": 0.0, "train.epochs": 20, "train.weight_decay": 0.1, "model.input_dropout": 0.6},
        ),
    ],
)
def test_published_recipes_keep_their_settings(preset: str, differences: dict[str, Any]) -> None:
    """The committed results were trained with these; the default may move on without them."""
    found = {name: value for name, _, value in setting_names(PRESETS[preset]) if value != DEFAULT[name]}
    assert found == {**differences, "train.clip_norm": 5.0, "model.max_std": 0.0}
    assert (DEFAULT["train.learning_rate"], DEFAULT["train.epochs"], DEFAULT["model.dropout"]) == (3e-3, 0, 0.5)
