"""Where the package grows: each extension is one new piece and one row, as docs/architecture.md says.

Another encoder of the modalities is one argument of the network: tests/models/test_network.py.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from experiments import tables
from experiments.paper.artifact import Table
from macsgr_jax.cli import main as cli
from macsgr_jax.cli.import_corpus import KIND_HELP
from macsgr_jax.config import Config, LossConfig
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.data.sources import READERS
from macsgr_jax.data.sources.build import ImportedCorpus, Source
from macsgr_jax.features import importing
from macsgr_jax.losses import objective
from macsgr_jax.masking import masked_mean
from tests.testing.corpora import make_corpus
from tests.testing.random_output import draw_output


@dataclasses.dataclass(frozen=True)
class SparseLossConfig(LossConfig):
    """The two settings of a new loss: its switch and its weight."""

    sparse_alignment: bool = True
    gamma_sparse: float = 0.5


def test_a_new_loss_is_a_function_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """`losses.objective.ALIGNMENTS` calls it, switches it, weighs it and reports it."""
    monkeypatch.setitem(
        objective.ALIGNMENTS,
        "sparse",
        lambda inputs: masked_mean(jnp.sum(jnp.abs(inputs.embeddings), axis=-1), inputs.available),
    )
    output, batch, prototypes = draw_output()

    def evaluate(loss: LossConfig) -> tuple[Array, dict[str, Array]]:
        return objective.total_loss(output, batch, prototypes, Config(loss=loss))

    total, terms = evaluate(SparseLossConfig())
    without, off = evaluate(SparseLossConfig(sparse_alignment=False))
    assert terms["sparse"] > 0 and off["sparse"] == 0
    np.testing.assert_allclose(total - without, 0.6 * 0.5 * terms["sparse"], rtol=1e-4)


def test_a_new_importer_is_a_reader_and_a_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def read_mine(path: Path) -> ImportedCorpus:
        return ImportedCorpus(make_corpus(), (), ())

    monkeypatch.setattr(importing, "READERS", {**READERS, "mine": Source(reads="a file of mine", read=read_mine)})
    importing.import_corpus("mine", tmp_path / "mine.txt", tmp_path / "mine.npz")
    assert load_corpus(tmp_path / "mine.npz").label_names == make_corpus().label_names
    assert all(kind in KIND_HELP for kind in READERS)  # The command's help is made of the table.


def test_a_new_option_is_a_field(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from macsgr_jax.cli import info

    @dataclasses.dataclass(frozen=True)
    class InfoWithOption(info.Info):
        """Shows the contents of a file.

        Attributes:
            colour: The colour of the table.
        """

        colour: str = "blue"

    monkeypatch.setattr(info, "Info", InfoWithOption)
    assert cli.main(["info", "--help"]) == 0
    assert "--colour" in capsys.readouterr().out


def test_a_new_table_is_a_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def count(cache: Any, corpus: str) -> dict[str, Any]:
        return {"head": ["corpus", "count"], "rows": [[corpus, "1"]], "count": 1}

    table = Table(name="table_6", title="A table of mine", corpora=("iemocap",), compute=count, remarks=())
    monkeypatch.setitem(tables.TABLES, 6, table)
    save_corpus(make_corpus(), tmp_path / "iemocap.npz")
    command = tables.Tables(corpora=tmp_path, runs=tmp_path / "runs", results=tmp_path / "results", table=6)
    tables.main(command)
    assert "| iemocap | 1 |" in (tmp_path / "results" / "table_6.md").read_text(encoding="utf-8")
