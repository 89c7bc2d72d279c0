"""What a person waits for: the next utterance of a stream, the predictions for a folder, and the start of a command."""

import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.benchmark.corpus_shapes import Shape, draw_lengths
from experiments.benchmark.timing import interleave, summarize_seconds
from macsgr_jax.config import ModelConfig
from macsgr_jax.inference.predictor import Predictor, Turns, Window, make_batch
from macsgr_jax.inference.streaming import StreamingPredictor
from macsgr_jax.models import build_network

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "spoken" / "conversation"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of the measurements.

    Attributes:
        context: the utterances that a network sees at once.
        updates: the utterances of one stream.
        live: the conversations that go on at the same time.
        live_context: the utterances of those that a network sees at once; memory grows with both.
        live_updates: the measured utterances of each of them.
        conversations: the conversations of the folder.
        rounds: measured predictions of the folder.
    """

    context: int = 512
    updates: int = 1100
    live: int = 1000
    live_context: int = 32
    live_updates: int = 5
    conversations: int = 200
    rounds: int = 3


FULL, QUICK = Sizes(), Sizes(16, 20, 3, 16, 2, 4, 1)


def draw_turns(length: int, shape: Shape, rng: np.random.Generator) -> Turns:
    """Draws a conversation of noise, with the features and speakers of a shape."""
    return Turns(
        {name: rng.standard_normal((length, size), np.float32) for name, size in shape.sizes.items()},
        {name: np.ones(length, bool) for name in shape.sizes},
        rng.integers(0, shape.speakers_per_dialogue, length).astype(np.int32),
    )


def make_predictor(config: ModelConfig, shape: Shape, networks: int = 1, context: int = 512) -> Predictor:
    """Makes a predictor of networks that were not trained: the time does not depend on the weights."""
    network = build_network(config, shape.num_classes)
    turns = draw_turns(1, shape, np.random.default_rng(0))
    init = jax.jit(network.init)
    batch = make_batch(turns, Window(0, 1, 0, 1), 1)
    params = [init(jax.random.key(seed), batch)["params"] for seed in range(networks)]
    return Predictor(config, shape.num_classes, params, [1.0] * networks, context)


def measure_streaming(shape: Shape, config: ModelConfig, sizes: Sizes) -> dict[str, Any]:
    """Measures a stream of a causal network: its start, each utterance, and many conversations at once.

    Returns:
        `start_seconds`, compilation included; `milliseconds` and `processor_milliseconds` per utterance of the first
        half of a window, and of the last hundred utterances; and `live`, the utterances per second of many
        conversations.
    """
    causal = dataclasses.replace(config, causal=True)
    rng = np.random.default_rng(0)
    predictor = make_predictor(causal, shape, context=sizes.context)
    start = time.perf_counter()
    stream = StreamingPredictor(predictor)
    started = time.perf_counter() - start
    wall, processor = [], []
    for _ in range(sizes.updates):
        turn = draw_turns(1, shape, rng)
        clocks = time.perf_counter(), time.process_time()
        stream.update(turn)
        wall.append(time.perf_counter() - clocks[0])
        processor.append(time.process_time() - clocks[1])
    parts = {"first": slice(1, sizes.context // 2), "last": slice(-100, None)}
    del stream
    live = StreamingPredictor(make_predictor(causal, shape, context=sizes.live_context), sizes.live)
    turns = {conversation: draw_turns(1, shape, rng) for conversation in range(sizes.live)}
    seconds = interleave({"live": lambda: live.update_many(turns)}, sizes.live_updates)["live"]
    return {
        "context": sizes.context,
        "start_seconds": started,
        "milliseconds": {name: _milliseconds(wall[part]) for name, part in parts.items()},
        "processor_milliseconds": {name: _milliseconds(processor[part]) for name, part in parts.items()},
        "live": {
            "conversations": sizes.live,
            "context": sizes.live_context,
            "utterances_per_second": sizes.live / float(np.median(seconds)),
        },
    }


def measure_prediction(shape: Shape, config: ModelConfig, sizes: Sizes) -> dict[str, Any]:
    """Measures a folder of conversations: all together, and one after the other, in turns."""
    rng = np.random.default_rng(0)
    lengths = draw_lengths(dataclasses.replace(shape, dialogues=(sizes.conversations, 0, 0)), rng)
    conversations = [draw_turns(int(length), shape, rng) for length in lengths]
    predictor = make_predictor(config, shape)
    calls: Mapping[str, Callable[[], Any]] = {
        "together": lambda: predictor.predict_many(conversations),
        "one_by_one": lambda: [predictor.predict(turns) for turns in conversations],
    }
    count = int(lengths.sum())
    return {
        "conversations": len(lengths),
        "utterances": count,
        **{
            name: {"seconds": summarize_seconds(seconds), "utterances_per_second": count / float(np.median(seconds))}
            for name, seconds in interleave(calls, sizes.rounds).items()
        },
    }


def measure_start(run: Path | None, rounds: int) -> dict[str, Any]:
    """Measures how long commands take to start, in processes of their own.

    Args:
        run: the folder of a run on the example corpus, whose predictions of the example are measured too.
        rounds: the number of measured starts of each.

    Returns:
        Command -> `seconds` of the wall clock and `processor_seconds`. "first" begins with an empty compilation cache.
    """
    commands = {
        "import jax": ["-c", "import jax"],
        "import macsgr_jax": ["-c", "import macsgr_jax"],
        "from macsgr_jax import *": ["-c", "from macsgr_jax import *"],
        "macsgr train --help": ["-m", "macsgr_jax", "train", "--help"],
    }
    measured = {name: _measure_process(arguments, {}, rounds) for name, arguments in commands.items()}
    if run is not None:
        predict = ["-m", "macsgr_jax", "predict", os.fspath(EXAMPLE), "--model", os.fspath(run.absolute())]
        with tempfile.TemporaryDirectory() as cache:
            variables = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_ENABLE_COMPILATION_CACHE": "true"}
            measured["macsgr predict, first"] = _measure_process(predict, variables, 1)
            measured["macsgr predict, warm"] = _measure_process(predict, variables, rounds)
    return measured


def waiting_rows(measured: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Formats the results of the functions above, by name, as rows of cells."""
    rows: list[list[str]] = []
    if "streaming" in measured:
        found = measured["streaming"]
        rows.append(["stream: start, s", f"{found['start_seconds']:.1f}"])
        for part in ("first", "last"):
            clocks = (found[name][part]["median"] for name in ("milliseconds", "processor_milliseconds"))
            rows.append([f"stream: {part} utterances, ms (processor)", "{:.1f} ({:.1f})".format(*clocks)])
        live = found["live"]
        name = f"stream: {live['conversations']:,} conversations, utterances/s"
        rows.append([name, f"{live['utterances_per_second']:,.0f}"])
    if "prediction" in measured:
        found = measured["prediction"]
        for part in ("together", "one_by_one"):
            name = f"{found['conversations']} conversations {part.replace('_', ' ')}, utterances/s"
            rows.append([name, f"{found[part]['utterances_per_second']:,.0f}"])
    for name, found in measured.get("start", {}).items():
        rows.append([f"{name}, s (processor)", f"{found['seconds']:.2f} ({found['processor_seconds']:.2f})"])
    return ["what a person waits for", "value"], rows


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    return {name: 1e3 * value for name, value in summarize_seconds(np.array(seconds)).items()}


def _measure_process(arguments: list[str], variables: dict[str, str], rounds: int) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": os.fspath(ROOT), **variables}
    wall, processor = [], []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        wall.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"seconds": float(np.median(wall)), "processor_seconds": float(np.median(processor))}
