"""The cache of networks: their folders, configurations and derived corpora."""

from pathlib import Path

import pytest

from experiments.paper.study import NetworkCache, StudyOptions, name_folder
from experiments.paper.variants import ABLATIONS, CORPORA, list_differences
from macsgr_jax.overrides import override
from macsgr_jax.presets import DEFAULT, LITERAL, PRESETS
from tests.testing.tiny_study import NAMES


def test_folder_names() -> None:
    """Networks have folders of their own, and long names are cut."""
    assert name_folder("w/o UW") == "w-o-uw" and name_folder("IA+PA") == "ia-pa"
    long = [name_folder("model.dropout=0.1 " * 20 + end) for end in ("a", "b")]
    assert len(set(long)) == 2 and max(map(len, long)) < 120


@pytest.mark.parametrize("corpus", CORPORA)
def test_configuration_is_the_preset(corpus: str, tmp_path: Path) -> None:
    """The network of a corpus is that of `macsgr train --preset` of its name; variants are overrides on top."""
    cache = NetworkCache(StudyOptions(corpora=tmp_path))
    assert cache.config(corpus) == PRESETS[corpus]
    settings = ABLATIONS["w/o SyE"]
    assert cache.config(corpus, settings) == override(PRESETS[corpus], settings)
    changed = NetworkCache(StudyOptions(corpora=tmp_path, set=("model.dropout=0.1",), quick=True)).config(corpus)
    assert changed == override(PRESETS[corpus], ["model.dropout=0.1", "train.epochs=2"])


def test_derived_corpus_has_the_preset_of_its_source(study_corpora: Path, tmp_path: Path) -> None:
    """A derived corpus brings the settings of its networks with it."""
    cache = NetworkCache(StudyOptions(corpora=study_corpora, runs=tmp_path))
    name = cache.derive_refit("mosi")
    assert cache.config(name) == override(PRESETS["mosi"], ["data.validation_fraction=0.001"])
    assert cache.simplest(name) and not cache.simplest("iemocap")
    corpus = cache.corpus(name)
    assert corpus.dialogue_names == NAMES and len(corpus.dialogues_of("train")) == 5
    assert len(corpus.dialogues_of("validation")) == 0


def test_differences_are_settings_as_text() -> None:
    """The differences of two configurations lead from one to the other as --set does."""
    for preset in (*PRESETS.values(), LITERAL):
        differences = list_differences(preset, DEFAULT)
        assert override(DEFAULT, [f"{name}={value}" for name, value in differences.items()]) == preset
