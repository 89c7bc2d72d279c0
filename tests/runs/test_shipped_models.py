"""The models that ship: what their cards say holds, and MELD's test split gives the scores that they record."""

import os
from pathlib import Path

import pytest

from macsgr_jax.cli.main import main
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.dataset import layout_of, prepare
from macsgr_jax.inference.published import read_published
from macsgr_jax.runs import models
from macsgr_jax.runs.load import open_checkpoints
from macsgr_jax.runs.models import SHIPPED, choose_default, find_model, list_models
from macsgr_jax.runs.publish import Ensemble, score_ensemble, separate_utterances

pytest.importorskip("safetensors", reason="published models need the package safetensors")


MELD = os.environ.get("MACSGR_MELD", "")
NAMES = ("meld-text", "meld-text-causal")


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(list_models()) == NAMES and {choose_default(), choose_default(True)} == set(NAMES)
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES) and "text_use" in printed
    assert main(["models", "meld-text"]) == 0
    assert capsys.readouterr().out == (SHIPPED / "meld-text" / "README.md").read_text(encoding="utf-8").rstrip() + "\n"
    assert main(["models", "meld-text", "--json"]) == 0
    assert '"format": "macsgr_jax.model/1"' in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_what_its_card_says(name: str) -> None:
    """Small, whole, causal where its name says so, without a folder of the machine that made it."""
    folder = find_model(name)
    model = read_published(folder)
    described, card = model.description, (folder / "README.md").read_text(encoding="utf-8")
    assert described.name == name and described.corpus.name == "meld" and len(described.seeds) >= 3
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6e6
    assert model.config.model.causal == name.endswith("causal")
    assert model.extractors["text_use"].description["kind"] == "universal-sentence-encoder"
    assert described.command[:2] == ["macsgr", "train"] and "--preset meld --features text_use" in card
    for split in ("test", "test, without context"):
        assert f"| {split} | {100 * described.scores[split]['waf1']:.1f} |" in card
    assert "GPL-3.0" in card and described.corpus.sha256 in card and "## Limits" in card
    for path in folder.iterdir():
        assert not any(place in path.read_bytes() for place in (b"/work/", b"/home/", b"/root/", b"/tmp/")), path.name


@pytest.mark.skipif(not MELD, reason="MACSGR_MELD names no corpus file of MELD with text_use")
@pytest.mark.parametrize("name", NAMES)
def test_the_scores_of_the_test_split(name: str) -> None:
    """With context and without, as recorded."""
    checkpoints = open_checkpoints(find_model(name))
    assert checkpoints.published is not None
    described = checkpoints.published.description
    corpus = load_corpus(MELD)
    ensemble = Ensemble(checkpoints.config, checkpoints.published.params, [one.temperature for one in described.seeds])
    whole = prepare(corpus, layout_of(checkpoints.config), checkpoints.standardizer)
    for split, prepared in (("test", whole), ("test, without context", separate_utterances(corpus, checkpoints))):
        found = score_ensemble(ensemble, prepared, "test")
        assert found == pytest.approx(described.scores[split], abs=1e-3)


def test_an_unnamed_model_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --model the one that ships is used, and a note says so; with --follow the causal one."""
    (tmp_path / "talk.txt").write_text("Ann: Yes.\n", encoding="utf-8")
    for name in ("DEFAULT_MODEL", "DEFAULT_CAUSAL_MODEL"):
        monkeypatch.setattr(models, name, f"{tmp_path}/{name}")
    assert main(["predict", str(tmp_path / "talk.txt")]) == 2
    assert f"note: no --model is given: {tmp_path}/DEFAULT_MODEL is used" in capsys.readouterr().err
    assert main(["predict", "--follow"]) == 2
    assert "DEFAULT_CAUSAL_MODEL is used" in capsys.readouterr().err
