"""Every mode of the benchmark, in a small form."""

import dataclasses
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments.benchmark import throughput, timing
from experiments.benchmark.__main__ import Benchmark, main, without_compilation_cache
from experiments.benchmark.corpus_shapes import SHAPES, draw_lengths, make_corpus
from experiments.benchmark.formatting import SCALE_HEAD, scale_row
from experiments.benchmark.scaling import Axes, Scale, make_points
from macsgr_jax.cli.common import run_script
from macsgr_jax.data.dataset import prepare
from tests.testing.corpora import TINY, compile_quickly, tiny_config, write_corpus

SETTINGS = tuple(part for setting in TINY for part in ("--set", setting))
HAS_TORCH = importlib.util.find_spec("torch") is not None


def measure(out: Path, *arguments: str) -> dict[str, Any]:
    """Runs the script in this process, in tiny sizes; returns its JSON."""
    with compile_quickly():
        arguments = arguments if "--parts" in arguments else ("--parts", "speed", *arguments)
        given = [*SETTINGS, *arguments, "--json", str(out / "figures.json")]
        assert run_script("experiments.benchmark", Benchmark, main, given) == 0
    figures: dict[str, Any] = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert {"schema", "command", "versions", "device", "config"} <= set(figures)
    return figures


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Returns the sentence with which the script refuses its arguments."""
    assert run_script("experiments.benchmark", Benchmark, main, arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def check_side(side: dict[str, Any], utterances: int) -> None:
    assert 0 <= side["padding_share"] < 1
    for passed in ("train", "inference"):
        seconds = side[passed]["epoch_seconds"]
        assert 0 < seconds["least"] <= seconds["median"] <= seconds["most"]
        assert side[passed]["utterances_per_second"] == pytest.approx(utterances / seconds["median"])
    milliseconds = 1e3 * side["train"]["epoch_seconds"]["median"] / side["steps"]
    assert side["train"]["step_milliseconds"] == pytest.approx(milliseconds)


@pytest.mark.slow
def test_own_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A corpus file is measured, with the peer if torch is installed, and the printed figures are those of the JSON."""
    peer = ("--peer",) if HAS_TORCH else ()
    figures = measure(tmp_path, "--corpus", str(write_corpus(tmp_path)), "--rounds", "2", *peer)
    measured = figures["speed"]
    assert measured["utterances"] == 18 and measured["rounds"] == 2
    ours = measured["ours"]
    check_side(ours, 18)
    assert all(value > 0 for part in ("compile_seconds", "program_bytes") for value in ours[part].values())
    assert ours["peak_bytes"]["host"] > ours["program_bytes"]["train"]
    output = capsys.readouterr().out
    assert f"{ours['train']['utterances_per_second']:,.0f}" in output
    if HAS_TORCH:
        check_side(measured["peer"], 18)
        assert figures["versions"]["torch"]
        for part in ("train", "inference"):
            sides = (measured[side][part]["utterances_per_second"] for side in ("ours", "peer"))
            ratio = measured["ratio"][part]
            assert ratio["medians"] == pytest.approx(np.divide(*sides))
            assert f"{ratio['medians']:.2f} (" in output


def test_every_utterance_is_trained_on() -> None:
    """An epoch of ours has as many utterances as one of the peer, to which it is compared."""
    config = throughput.configure(SETTINGS[1::2])
    prepared = prepare(make_corpus(dataclasses.replace(SHAPES["meld"], dialogues=(20, 2, 2))), config)
    rows = prepared.epoch_rows(np.random.default_rng(0))
    assert sorted(rows[rows >= 0]) == prepared.corpus.utterances_of("train").tolist()


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_quick_form(tmp_path: Path, shape: str) -> None:
    """The quick form measures each shape."""
    measured = measure(tmp_path, "--quick", "--shape", shape)["speed"]
    assert measured["rounds"] == 1
    check_side(measured["ours"], measured["utterances"])


@pytest.mark.slow
def test_scale_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The scale curve has points along each of its axes."""
    figures = measure(tmp_path, "--scale", "--quick", "--shape", "meld")
    points = figures["scale"]
    assert {point["axis"] for point in points} == {"length", "batch", "corpus"}
    for point in points:
        assert point["microseconds_per_utterance"] > 0 and point["bytes"] > 0, point
    assert capsys.readouterr().out.count("\n") > len(points)


def test_what_a_person_waits_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The quick form measures a stream, a folder and the start of commands, and prints the figures of the JSON."""
    figures = measure(tmp_path, "--quick", "--parts", "streaming", "prediction", "start")
    assert "speed" not in figures
    for part in ("first", "last"):
        for clock in ("milliseconds", "processor_milliseconds"):
            assert 0 < figures["streaming"][clock][part]["least"] <= figures["streaming"][clock][part]["median"]
    assert figures["streaming"]["live"]["conversations"] == 3
    assert {"import jax", "import macsgr_jax", "macsgr train --help"} <= set(figures["start"])
    output = capsys.readouterr().out
    for part in ("together", "one_by_one"):
        assert f"{figures['prediction'][part]['utterances_per_second']:,.0f}" in output
    assert "macsgr train --help, s (processor)" in output


@pytest.mark.slow
def test_point_over_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point that does not fit is skipped before it is allocated."""
    shape, config = SHAPES["meld"], tiny_config()
    axes = Axes((16,), 32, (), 16, (), 1)  # Compiled by the test above already.
    with compile_quickly():
        scale = Scale(shape, config, limit=2**16, rounds=1)
        monkeypatch.setattr(scale, "_time", None)
        (point,) = (scale.measure(point) for point in make_points(axes, shape))
    assert "needs 0.0 GiB, the limit is 0.0 GiB" in point["skipped"]
    row = scale_row(point)
    assert len(row) == len(SCALE_HEAD) and "skipped" in row[3]


def test_points() -> None:
    """The points have the lengths, batches and utterances that they are named after."""
    shape = SHAPES["iemocap"]
    axes = Axes((16, 64), 128, (1, 3), 32, (1000, 5000), 1)
    for point in make_points(axes, shape):
        lengths = np.diff(point.offsets)
        if point.axis == "length":
            assert set(lengths) == {point.position} == {point.slots} and lengths.sum() == 128
        elif point.axis == "batch":
            assert lengths.tolist() == [32] * point.position and point.rows_per_step == point.position
        else:
            assert abs(lengths.sum() - point.position) < shape.longest and lengths.max() <= point.slots


@pytest.mark.parametrize(
    ("name", "mean", "deviation"), [("iemocap", 49, 16.5), ("meld", 9.6, 5.8), ("mosei", 7.1, 6.8)]
)
def test_lengths(name: str, mean: float, deviation: float) -> None:
    """The lengths have the documented mean and standard deviation."""
    shape = SHAPES[name]
    drawn = np.stack([draw_lengths(shape, np.random.default_rng(seed)) for seed in range(20)])
    assert (drawn.min(axis=1) == shape.shortest).all() and (drawn.max(axis=1) == shape.longest).all()
    assert drawn.mean() == pytest.approx(mean, rel=0.03)
    assert drawn.std() == pytest.approx(deviation, rel=0.05)


def test_shape_becomes_a_corpus() -> None:
    """A shape becomes a corpus with its splits, emotions and speakers."""
    shape = SHAPES["meld"]
    corpus = make_corpus(shape)
    assert [len(corpus.dialogues_of(split)) for split in ("train", "validation", "test")] == list(shape.dialogues)
    assert set(corpus.labels) == set(range(7)) and corpus.modalities == ("audio", "text")
    speakers = [set(part) for part in np.split(corpus.speakers, corpus.offsets[1:-1])]
    assert max(map(len, speakers)) == shape.speakers_per_dialogue and len(set.union(*speakers)) > 250
    prepared = prepare(corpus, tiny_config())
    assert prepared.slots == 33 and {
        name: values.shape[1] for name, values in prepared.utterances.features.items()
    } == {
        "audio": 8,
        "text": 684,
    }


def test_rounds_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions are timed in turns, after one call each to warm up."""
    calls: list[str] = []
    clock = iter([0.0, 1.0, 1.0, 3.0, 3.0, 7.0, 7.0, 8.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    seconds = timing.interleave({"ours": lambda: calls.append("ours"), "peer": lambda: calls.append("peer")}, 2)
    assert calls == ["ours", "peer"] * 3
    assert seconds["ours"].tolist() == [1, 4] and seconds["peer"].tolist() == [2, 1]


def test_other_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The work of other programs is that of all programs without this one's."""
    tick = 1 / os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(timing, "STATISTICS", tmp_path / "stat")
    monkeypatch.setattr(timing.time, "perf_counter", iter([0.0, 200 * tick]).__next__)
    monkeypatch.setattr(timing.time, "process_time", iter([0.0, 100 * tick]).__next__)
    timing.STATISTICS.write_text("cpu 10 0 5 100 1 0 0 0\ncpu0 1 2 3\n")
    with timing.OtherWork() as other_work:
        timing.STATISTICS.write_text("cpu 310 20 80 900 9 3 2 0\ncpu0 1 2 3\n")
    assert other_work.cores == pytest.approx((300 + 20 + 75 + 3 + 2 - 100) / 200)


def test_ratio() -> None:
    """The ratio is the factor by which ours is faster."""
    ratio = timing.compare_seconds(np.array([1.0, 2.0, 1.0]), np.array([4.0, 4.0, 8.0]))
    assert ratio == {"medians": 4.0, "least": 2.0, "most": 8.0, "quickest": 4.0}


def test_peer_without_torch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The peer is refused with a sentence where torch is not installed."""
    monkeypatch.setattr(throughput.importlib.util, "find_spec", lambda name: None)
    assert "pip install" in refuse(capsys, "--peer")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--rounds", "0"), "--rounds"),
        (("--scale", "--peer"), "leave out --peer"),
        (("--memory-limit", "1"), "--scale"),
        (("--json", "/nowhere/figures.json"), "no folder /nowhere"),
        (("--set", "model.hidden_sise=8"), "hidden_size"),
    ],
)
def test_bad_input(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str) -> None:
    """Options that do not fit together are refused before anything is measured."""
    assert sentence in refuse(capsys, *arguments)


def test_compilation_cache() -> None:
    """Compilations are timed without the cache, which later compilations of the process use again."""
    before = jax.config.values["jax_enable_compilation_cache"]
    with without_compilation_cache():
        assert not compile_with_cache(1.0)
    assert jax.config.values["jax_enable_compilation_cache"] == before
    assert compile_with_cache(2.0)
    with without_compilation_cache():
        assert not compile_with_cache(3.0)


def compile_with_cache(constant: float) -> bool:
    """Compiles a function of its own; returns whether the persistent cache was asked for it."""
    events: list[str] = []

    def note(event: str, **details: Any) -> None:
        events.append(event)

    jax.monitoring.register_event_listener(note)
    try:
        jax.jit(lambda number: number * constant)(1.0)
    finally:
        jax.monitoring.unregister_event_listener(note)
    return "/jax/compilation_cache/compile_requests_use_cache" in events
