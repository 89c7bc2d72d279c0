"""The kinds of faults behind the cases, each at the one place where it is mended."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from macsgr_jax.config import Config
from macsgr_jax.data.corpus_file import load_corpus, save_corpus
from macsgr_jax.errors import MAX_MESSAGE, InputError, quote
from macsgr_jax.files import (
    escape_formula,
    open_file,
    read_file,
    read_npz,
    remove_abandoned,
    replace_not_finite,
    write_atomically,
    write_npz,
    write_text,
)
from macsgr_jax.limits import allow, check_option
from macsgr_jax.losses import classification, latent_alignment, prototype_alignment
from macsgr_jax.overrides import override, to_json
from macsgr_jax.runs.figures import draw_if_possible
from macsgr_jax.runs.folder import begin_folder, is_to_train, release_folder
from macsgr_jax.runs.interruption import StoppedAtOnce, StopRequests
from macsgr_jax.runs.plots import escape_math, plot_confusion
from macsgr_jax.runs.tables import as_markdown_table, escape_markdown
from macsgr_jax.training.checkpoint import RunCheckpoints, load_params
from macsgr_jax.training.loop import _describe_divergence
from tests.testing.corpora import TINY, make_corpus, write_corpus
from tests.testing.ten_seeds import SIMPLE

ROOT = Path(__file__).parents[2]


def start(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "macsgr_jax", *arguments]
    if options.pop("close", False):
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    return subprocess.run(command, cwd=ROOT, text=True, check=False, timeout=120, **options)


def test_names_in_messages_are_printable_on_one_line_and_shortened() -> None:
    assert quote("a\nerror: forged\x1b[2J\u202e\ud800") == r"a\nerror: forged\x1b[2J\u202e\ud800"
    assert quote("Müller 雨 \u200d\u00a0") == "Müller 雨 \u200d "
    shortened = quote("x" * 10_000_000)
    assert len(shortened) < 200 and "..." in shortened
    message = str(InputError(f"the label {'y' * 3_000_000} at\n row 3: correct it"))
    assert len(message) < 600 and message.startswith("the label yyy") and message.endswith(r"at\n row 3: correct it")
    assert len(str(InputError("a " * 1_000_000))) <= MAX_MESSAGE


def test_limits_are_told_and_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"it has 7, more than the 5 that are read.*MACSGR_LIMITS"):
        allow(7, 5, "it has 7")
    monkeypatch.setenv("MACSGR_LIMITS", "2")
    allow(7, 5, "it has 7")
    for wrong in ("0", "x", "nan", "inf", "-1"):
        monkeypatch.setenv("MACSGR_LIMITS", wrong)
        with pytest.raises(InputError, match="set it to a number from 1 on"):
            allow(1, 5, "it has 1")
    with pytest.raises(InputError, match="--seeds must be at least 1 and at most 9, and is 10"):
        check_option("--seeds", 10, 1, 9)


def test_only_regular_files_of_a_limited_size_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * 100)
    for path, sentence in (
        (tmp_path / "pipe", "is a device or a pipe"),
        (Path("/dev/zero"), "is a device or a pipe"),
        (tmp_path, "Is a directory"),
        (tmp_path / "absent", "No such file"),
        (tmp_path / ("x" * 5000), "File name too long"),
        (Path("a\0b"), "null"),
        (tmp_path / "large", "has 100 bytes, more than the 99 that are read"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_file(path, 99)
    with pytest.raises(InputError, match="cannot be read"), open_file(tmp_path / "large") as file:
        raise OSError(5, "Input/output error", file.name)


def test_arrays_may_have_any_name_and_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    arrays = {name: np.arange(3) for name in ("file", "path", "allow_pickle", "self", "a/b")}
    for name in ("one.npz", "other.npz"):
        write_npz(tmp_path / name, arrays)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
    assert set(read_npz(tmp_path / "one.npz")) == set(arrays)
    save_corpus(make_corpus(), tmp_path / "corpus.npz", **arrays)
    assert load_corpus(tmp_path / "corpus.npz").num_utterances == 29


def test_one_long_sentence_does_not_pad_the_others(tmp_path: Path) -> None:
    """An array of strings gives each the room of the longest: 800 sentences beside one of 3 MB would take 10 GB."""
    import dataclasses

    texts = ("ä" * 90_000, *["yes 雨"] * 799)
    corpus = make_corpus(lengths=(200,) * 4, splits=("train", "train", "validation", "test"))
    save_corpus(dataclasses.replace(corpus, texts=texts), tmp_path / "long.npz")
    assert load_corpus(tmp_path / "long.npz").texts == texts
    assert sum(array.nbytes for array in read_npz(tmp_path / "long.npz").values()) < 2_000_000
    arrays = read_npz(tmp_path / "long.npz")
    for change in ({"text_ends": arrays["text_ends"][::-1].copy()}, {"text_utf8": arrays["text_utf8"] | 128}):
        write_npz(tmp_path / "damaged.npz", arrays | change)
        with pytest.raises(InputError, match="write the corpus again"):
            load_corpus(tmp_path / "damaged.npz")


def test_temporaries_of_others_are_left_and_those_of_the_dead_removed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with write_atomically(path) as temporary:
        remove_abandoned(path)
        assert temporary.exists()
        temporary.write_text("whole")
    abandoned = tmp_path / ".out-0123abcd.jsonl"
    others = [tmp_path / name for name in (".out-of-mine.jsonl", ".other-0123abcd.jsonl", "out-0123abcd.jsonl")]
    for one in (abandoned, *others):
        one.write_text("half")
    remove_abandoned(path)
    assert path.read_text() == "whole" and not abandoned.exists() and all(one.exists() for one in others)


def test_one_process_at_a_time_trains_into_a_folder(tmp_path: Path) -> None:
    identity = {"seeds": [0], "config": to_json(Config())}
    out = tmp_path / "run"
    assert is_to_train(out, identity, False, False)
    begin_folder(out, identity, (), False)
    program = (
        "import sys; from pathlib import Path; from macsgr_jax.runs.folder import is_to_train\n"
        "try: is_to_train(Path(sys.argv[1]), {}, True, False)\n"
        "except ValueError as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(out)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "is in use by another process that trains: wait for it" in said
    assert is_to_train(out, identity, True, False)  # This process may go on.
    release_folder(out)
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "in use" not in said


def test_any_changed_bit_of_the_weights_is_noticed(tmp_path: Path) -> None:
    params = {"kernel": np.arange(200, dtype=np.float32)}
    with RunCheckpoints(tmp_path / "seed_0") as checkpoints:
        checkpoints.save(3, params, 0.5)
    found, epoch = load_params(tmp_path / "seed_0", "last")
    assert epoch == 3 and np.array_equal(found["kernel"], params["kernel"])
    files = [path for path in (tmp_path / "seed_0").rglob("*") if path.is_file() and path.stat().st_size]
    for path in files:
        content = path.read_bytes()
        changed = bytearray(content)
        changed[len(changed) // 2] ^= 1
        path.write_bytes(changed)
        with pytest.raises(InputError, match=r"cannot be read \(its file .*(has changed|is missing)|damaged"):
            load_params(tmp_path / "seed_0", "last")
        path.unlink()
        if path.name != "checksums.json":  # Weights of earlier versions have none.
            with pytest.raises(InputError, match="is missing"):
                load_params(tmp_path / "seed_0", "last")
        path.write_bytes(content)
    load_params(tmp_path / "seed_0", "last")


def test_a_picture_that_fails_is_a_note(tmp_path: Path) -> None:
    output = io.StringIO()

    def fail(path: Path) -> None:
        raise RuntimeError("no such letter\nand more")

    draw_if_possible(tmp_path / "curves.png", fail, Console(file=output, width=200))
    assert output.getvalue() == "note: curves.png cannot be drawn (no such letter)\n"


@pytest.mark.parametrize("labels", [["$\\frac$", "$$"], ["a\nb", "雨"], [f"emotion {n}" for n in range(150)]])
def test_names_are_drawn_as_they_are(tmp_path: Path, labels: list[str]) -> None:
    counts = np.eye(len(labels), dtype=int).tolist()
    plot_confusion({"seeds": [{"test": {"confusion": counts}}]}, labels, "$x$ $", tmp_path / "confusion.png")
    size = np.frombuffer((tmp_path / "confusion.png").read_bytes()[16:24], ">u4")
    assert size.max() <= 8000
    assert escape_math("$a$") == r"\$a\$" and "\n" not in escape_math("a\nb")


def test_names_are_text_in_tables() -> None:
    assert escape_formula("=1+1") == "'=1+1" and escape_formula("a=1") == "a=1" and escape_formula("-0.5") == "'-0.5"
    table = as_markdown_table(["emotion"], [["a|b\n![x](http://y) <script> `c` **d**"]])
    assert table.split("\n")[2] == r"| a\|b\\n\!\[x\](http:\//y) \<script\> \`c\` \*\*d\*\* |"
    assert "://" not in escape_markdown("https://example.org") and len(table.split("\n")) == 3


def test_numbers_that_json_does_not_have_become_null() -> None:
    values = {"a": [1.5, float("nan")], "b": (float("inf"), {"c": -float("inf")}), "d": 1}
    assert replace_not_finite(values) == {"a": [1.5, None], "b": [None, {"c": None}], "d": 1}


def test_losses_are_computed_in_float32_whatever_comes_in() -> None:
    draw = np.random.default_rng(0)
    embeddings = draw.normal(size=(2, 6, 4))
    mask = np.ones((2, 6), bool)
    values: dict[Any, list[float]] = {}
    for dtype in (jnp.float32, jnp.float16, jnp.bfloat16):
        z = jnp.asarray(embeddings, dtype)
        losses = (
            prototype_alignment(z, jnp.asarray(embeddings[0], dtype), mask, temperature=0.01),
            latent_alignment(z, jnp.abs(z), mask),
            classification(z[0], jnp.arange(6) % 4, mask[0]),
        )
        assert all(loss.dtype == jnp.float32 and jnp.isfinite(loss) for loss in losses)
        values[dtype] = list(map(float, losses))
    np.testing.assert_allclose(values[jnp.float16][1:], values[jnp.float32][1:], rtol=1e-2)


@pytest.mark.parametrize(
    ("setting", "advice"),
    [
        ("loss.temperature_cross=1e-9", r"loss\.temperature_cross is 1e-09; bring it nearer to its default, 0\.05"),
        ("loss.offset_intra=1e9", r"loss\.offset_intra is 1e\+09"),
        ("train.learning_rate=100", r"lower train\.learning_rate"),
    ],
)
def test_a_divergence_names_the_setting_that_did_it(setting: str, advice: str) -> None:
    config = override(Config(), [setting])
    assert re.search(advice, str(_describe_divergence("instance", float("nan"), 3, "step 1 of epoch 1", config)))


def test_a_second_signal_has_its_own_code() -> None:
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with StopRequests():
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(StoppedAtOnce) as caught:
                signal.raise_signal(number)
        assert caught.value.exit_code == code


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    record = {
        **{"conversation": "é", "utterance": "a", "speaker": "é", "text": "é", "start": 0.0, "end": 1.0},
        **{"emotion": "calm", "probabilities": {"calm": 1.0}, "weights": {"text": 1.0}, "available": {"text": True}},
        **{"uncertainty": 0.0, "influences": [], "edges": []},
    }
    (tmp_path / "é.jsonl").write_text(json.dumps(record))
    return tmp_path / "é.jsonl"


CLOSED: dict[str, Callable[[], dict[str, Any]]] = {
    "a full disk": lambda: {"stdout": os.open("/dev/full", os.O_WRONLY)},
    "ASCII": lambda: {"stdout": subprocess.PIPE, "env": {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}},
    "closed": lambda: {"stdout": subprocess.PIPE, "close": True},
    "a closed pipe": lambda: {"stdout": make_closed_pipe()},
}


def make_closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("kind", CLOSED)
def test_the_screen_stops_nothing_that_writes_files(kind: str, predictions: Path) -> None:
    out = predictions.with_suffix(".html")
    finished = start("view", str(predictions), "--out", str(out), stderr=subprocess.PIPE, **CLOSED[kind]())
    assert "Traceback" not in finished.stderr and out.stat().st_size > 1000
    assert finished.returncode == {"a full disk": 2, "ASCII": 0, "closed": 0, "a closed pipe": 141}[kind], (
        finished.stderr
    )
    assert finished.stderr.count("\n") == (kind == "a full disk")


LONG = ["--epochs", "20000", "--save-every", "20000", "--seeds", "1"]
LONG += [part for setting in (*TINY, *SIMPLE) for part in ("--set", setting)]


def begin_training(out: Path, corpus: Path) -> "subprocess.Popen[str]":
    """Starts a training that takes minutes."""
    command = [sys.executable, "-m", "macsgr_jax", "train", *LONG, "--corpus", str(corpus), "--out", str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_epochs(process: "subprocess.Popen[str]", out: Path) -> None:
    """Until two epochs are in its log."""
    while not (out / "log.csv").exists() or (out / "log.csv").read_text().count("\n") < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.slow
def test_ctrl_c_at_ten_moments_of_the_start_is_one_sentence(tmp_path: Path) -> None:
    """From its first instructions to its first epochs; a training that takes minutes has not swallowed it."""
    corpus = write_corpus(tmp_path)
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "macsgr_jax", "--version"], cwd=ROOT, check=True)
    begun = time.monotonic()
    with begin_training(tmp_path / "whole", corpus) as process:
        wait_for_epochs(process, tmp_path / "whole")
        first, last = begun - start, time.monotonic() - begun
        process.kill()
    said = []
    for moment in range(10):
        with begin_training(tmp_path / f"run_{moment}", corpus) as process:
            time.sleep(first + (last - first) * moment / 9)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=120)
        said.append(error)
        assert process.returncode == 130, said
        assert "Traceback" not in error and error.count("\n") == 1, said
        assert re.match(r"interrupted: |.*stopped (before its first|after) epoch|stopped at once: ", error), said
    assert len(set(said)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.002, 0.05])
def test_a_second_sigterm_ends_it_at_once(tmp_path: Path, pause: float) -> None:
    with begin_training(tmp_path / "run", write_corpus(tmp_path)) as process:
        wait_for_epochs(process, tmp_path / "run")
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(pause)
        _, error = process.communicate(timeout=120)
    assert process.returncode == 143, error
    assert re.fullmatch(r".*(stopped after epoch \d+ of|stopped at once: ).*--resume\n", error), error


def test_a_text_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "absent" / "a.txt", "")
