"""`macsgr tune`: what it draws, what it trains on, when it stops, and that its preset gives its score again."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from macsgr_jax.cli.common import read_preset
from macsgr_jax.cli.main import main
from macsgr_jax.config import Config
from macsgr_jax.data import synthetic
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import save_corpus
from macsgr_jax.overrides import override, to_json
from macsgr_jax.runs.info import describe_run
from macsgr_jax.runs.train import train_and_evaluate
from macsgr_jax.search.run import group_points
from macsgr_jax.search.space import configure_point
from macsgr_jax.search.tune import default_ranges, draw_recipes, plan_rounds, run_tune, shorten_training
from macsgr_jax.training.loop import DivergenceError
from tests.testing.corpora import TINY, compile_quickly, tiny_config

SETTINGS = ("model.semantic_encoder=false", "loss.prototype_alignment=false", "train.epochs=9", "loss.gamma_latent=0")
RANGES = ("learning_rate=1e-3:2e-2:log", "lambda=0:1", "clip_norm=1,5")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return synthetic.generate(12)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Path:
    """The folder of a search over nine settings."""
    out = tmp_path_factory.mktemp("tuned") / "out"
    with compile_quickly():
        run_tune(tiny_config(*SETTINGS), corpus, [0], out, runs=9, ranges=RANGES)
    return out


@pytest.fixture(scope="module")
def results(tuned: Path) -> dict[str, Any]:
    return json.loads((tuned / "results.json").read_text(encoding="utf-8"))


def test_draws_share_programs() -> None:
    """Twenty settings are five programs, of which the first has the static settings of the configuration."""
    config = Config()
    points = draw_recipes(20, default_ranges(config), config, 0)
    configs = [configure_point(config, point) for point in points]
    assert configs[0] == config and len(points) == 20
    assert len(group_points(configs)) <= 5
    assert group_points(configs)[0].points[:2] == [0, 5]
    assert len({point["train.learning_rate"] for point in points}) == 20
    assert {*points[0]} == {
        *("train.learning_rate", "loss.lambda_alignment", "train.clip_norm", "train.warmup_epochs"),
        *("model.dropout", "loss.class_balance", "train.epochs"),
    }
    assert draw_recipes(20, default_ranges(config), config, 0) == points
    assert draw_recipes(20, default_ranges(config), config, 1) != points


@pytest.mark.parametrize(
    ("runs", "epochs", "fractions"),
    [(20, 60, [1 / 9, 1 / 3, 1]), (8, 60, [1 / 3, 1]), (20, 9, [1 / 3, 1]), (2, 60, [1]), (20, 5, [1])],
)
def test_rounds(runs: int, epochs: int, fractions: list[float]) -> None:
    """Three at most, with a point to leave out and three epochs in each."""
    assert plan_rounds(runs, epochs) == fractions


def test_shortened_training() -> None:
    """All points have the same epochs until the last round, and the warm-up stays the same part of them."""
    for epochs, warmup in ((60, 1), (30, 2)):
        config = override(Config(), [f"train.epochs={epochs}", "train.warmup_epochs=3"])
        short = shorten_training(config, 1 / 3, 60).train
        assert (short.epochs, short.warmup_epochs) == (20, warmup)
        assert shorten_training(config, 1, 60) == config


def test_halving(results: dict[str, Any]) -> None:
    """The best third is trained on, and the configuration itself; each round ranks by the validation score."""
    assert [len(of_round["points"]) for of_round in results["rounds"]] in ([9, 3], [9, 4])
    first, last = (of_round["points"] for of_round in results["rounds"])
    assert {point["point"] for point in last} == {0, *(point["point"] for point in first[:3])}
    for points, epochs in ((first, 3), (last, 9)):
        assert {point["epochs"] for point in points} == {epochs}
        scores = [point["validation"]["waf1"]["mean"] for point in points]
        assert scores == sorted(scores, reverse=True)
    assert results["chosen"]["point"] == last[0]["point"]


def test_nothing_reads_the_test_split(tuned: Path, results: dict[str, Any]) -> None:
    assert "test" not in results["chosen"]
    assert {path.name for path in tuned.iterdir()} == {"run.json", "results.json", "preset.json", "log.csv"}


def test_preset_gives_the_score_again(tuned: Path, results: dict[str, Any], corpus: Corpus, tmp_path: Path) -> None:
    config = read_preset(tuned / "preset.json")
    assert to_json(config) == results["chosen"]["config"]
    with compile_quickly():
        trained = train_and_evaluate(config, corpus, [0], tmp_path / "run")
    (seed,) = trained["networks"]["full"]["seeds"]
    assert seed["validation"]["waf1"] == pytest.approx(results["chosen"]["validation"]["waf1"]["mean"], abs=1e-4)


def test_description(tuned: Path, results: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """`macsgr info` shows what was chosen."""
    described = describe_run(tuned)
    assert described["chosen"]["setting"] == results["chosen"]["setting"] and described["points"] == 9
    assert main(["info", str(tuned)]) == 0
    assert "search of 9 settings" in capsys.readouterr().out


def test_minutes(corpus: Corpus, tmp_path: Path) -> None:
    """A clock that runs out in the first round leaves what was trained, and its preset has those epochs."""
    times = iter([0.0, *[10.0] * 3, *[1e9] * 100])
    with compile_quickly():
        results = run_tune(
            tiny_config(*SETTINGS),
            corpus,
            [0],
            tmp_path / "out",
            runs=9,
            ranges=RANGES,
            minutes=1,
            clock=times.__next__,
        )
    (only,) = results["rounds"]
    assert len(only["points"]) == 4
    assert read_preset(tmp_path / "out" / "preset.json").train.epochs == 3


def test_interrupted_search_is_resumed(tuned: Path, corpus: Corpus, tmp_path: Path) -> None:
    """What is trained is not trained again, and the results are the same."""
    trained: Counter[str] = Counter()
    from macsgr_jax.search import tune

    train_points = tune.train_points

    def count_and_stop(*given: Any, **options: Any) -> Any:
        trained[given[4]] += 1
        if sum(trained.values()) == 6:
            raise KeyboardInterrupt
        return train_points(*given, **options)

    with pytest.MonkeyPatch.context() as patch, compile_quickly():
        patch.setattr(tune, "train_points", count_and_stop)
        given = (tiny_config(*SETTINGS), corpus, [0], tmp_path / "out")
        with pytest.raises(KeyboardInterrupt):
            run_tune(*given, runs=9, ranges=RANGES)
        assert (tmp_path / "out" / "checkpoints").is_dir()
        resumed = run_tune(*given, runs=9, ranges=RANGES, resume=True)
    expected = json.loads((tuned / "results.json").read_text(encoding="utf-8"))
    assert resumed["rounds"] == expected["rounds"] and resumed["chosen"] == expected["chosen"]


def test_search_in_which_everything_diverges(corpus: Corpus, tmp_path: Path) -> None:
    config = tiny_config(*SETTINGS, "train.learning_rate=1e30")
    with compile_quickly(), pytest.raises(DivergenceError, match="a run of every setting diverged"):
        run_tune(config, corpus, [0], tmp_path / "out", runs=2, ranges=("learning_rate=1e30,1e31",))


def test_command(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints a table and the command that uses the preset; the corpus may stand without --corpus."""
    save_corpus(corpus, tmp_path / "talks.npz")
    settings = [part for setting in (*TINY, *SETTINGS) for part in ("--set", setting)]
    arguments = ["tune", str(tmp_path / "talks.npz"), "--runs", "2", "--range", "lambda=0:1", *settings]
    with compile_quickly():
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    preset = tmp_path / "out" / "preset.json"
    assert f"macsgr train --preset {preset} --corpus {tmp_path / 'talks.npz'} --out ..." in printed.replace("\n", "")
    assert "lambda_alignment" in printed and "draw 1" in printed
    assert main([*arguments, "--corpus", "other.npz", "--out", str(tmp_path / "other")]) == 2
    assert "two corpora are given" in capsys.readouterr().err
    assert main([*arguments, "--minutes", "0", "--out", str(tmp_path / "other")]) == 2
    assert not math.isnan(json.loads(preset.read_text(encoding="utf-8"))["train"]["learning_rate"])
