"""The commands of the paper's evidence, each in its quick form on tiny corpora with the names of the real ones."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from experiments.baselines import Baselines, average_context, name_scenarios, train_models
from experiments.baselines import main as baselines
from experiments.choose import Choose
from experiments.choose import main as choose
from experiments.commandline import run_script
from experiments.evidence import render
from experiments.figures import Figures
from experiments.figures import main as figures
from experiments.protocol import Protocol
from experiments.protocol import main as protocol
from experiments.readings import Readings, list_readings
from experiments.readings import main as readings
from experiments.study import Study, StudyOptions, Trained, name_folder
from experiments.tables import REMARKS, Tables
from experiments.tables import main as tables
from experiments.variants import ABLATIONS, FULL, list_alignments
from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.corpus_file import save_corpus
from tests.corpora import TINY, compile_quickly, make_corpus

LENGTHS = (6, 7, 5, 6, 7, 5, 8, 6)
SPLITS = ("train", "train", "train", "train", "validation", "test", "test", "test")
NAMES = (
    "Ses01F_impro01",
    "Ses02M_impro02",
    "Ses03F_impro01",
    "Ses04M_script02",
    "Ses05F_impro01",
    "Ses05F_impro02",
    "Ses05M_script01",
    "Ses05M_impro01",
)
SETTINGS = ("data.features=audio_small,text_small", "train.dialogues_per_step=4", *TINY)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three corpora; that of the sentiments has two classes and some sentiments of 0."""
    folder = tmp_path_factory.mktemp("corpora")
    words = np.random.default_rng(0)
    for name, classes in (("iemocap", 3), ("meld", 3), ("mosi", 2)):
        corpus = make_corpus(LENGTHS, SPLITS, num_classes=classes)
        texts = tuple(" ".join(words.choice(["oh", "no", "well", "yes", "never"], 3)) for _ in corpus.labels)
        corpus = dataclasses.replace(corpus, name=name, dialogue_names=NAMES, texts=texts)
        save_corpus(corpus, folder / f"{name}.npz")
    with np.load(folder / "mosi.npz") as arrays:
        kept = dict(arrays)
    sentiment = np.where(kept["label"] == 1, np.arange(len(kept["label"])) % 3, -1).astype(np.float32)
    np.savez(folder / "mosi.npz", **kept, sentiment=sentiment)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of the commands leave their networks and results."""
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def run(corpora: Path, folder: Path) -> Callable[..., dict[str, Any]]:
    """A command in its quick form on iemocap alone; what it writes to NAME.json."""

    def call(command: Any, main: Any, name: str, *arguments: str, only: str = "iemocap") -> dict[str, Any]:
        given = ["--corpora", str(corpora), "--runs", str(folder / "runs"), "--results", str(folder / "results")]
        settings = [part for setting in SETTINGS for part in ("--set", setting)]
        with compile_quickly():
            assert run_script("x", command, main, [*given, "--quick", "--only", only, *settings, *arguments]) == 0
        numbers: dict[str, Any] = json.loads((folder / "results" / f"{name}.json").read_text(encoding="utf-8"))
        return numbers

    return call


@pytest.fixture(scope="module")
def full(run: Callable[..., dict[str, Any]], corpora: Path, folder: Path) -> Trained:
    """The full network on iemocap as the commands see it."""
    run(Tables, tables, "table_1", "--table", "1")
    options = StudyOptions(corpora, folder / "runs", folder / "results", quick=True, set=SETTINGS)
    return Study(options).train("iemocap", FULL)


def test_a_trained_network_is_what_its_files_say(full: Trained) -> None:
    assert full.probabilities.shape == (1, len(full.utterances), 3) == (1, 19, 3)
    np.testing.assert_allclose(full.probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(full.weights.sum(-1), 1, atol=1e-5)
    assert full.scores("waf1")[0] == pytest.approx(f1_score(full.labels, full.predicted[0], average="weighted"))
    np.testing.assert_array_equal(np.bincount(full.dialogue), LENGTHS[-3:])


def test_emotions(run: Callable[..., dict[str, Any]], full: Trained, folder: Path) -> None:
    numbers = run(Tables, tables, "table_1", "--table", "1")
    classes = full.network["seeds"][0]["test"]["classes"]
    found = numbers["parts"]["iemocap"]["emotions"]
    assert {name: values["f1"] for name, values in found.items()} == {n: [v["f1"]] for n, v in classes.items()}
    assert numbers["seeds"] == 1 and numbers["corpora"]["iemocap"]["sha256"] == full.corpus.sha256
    text = (folder / "results" / "table_1.md").read_text(encoding="utf-8")
    assert text == render(numbers, REMARKS[:1])
    waf1 = 100 * full.scores("waf1")[0]
    assert f"| WAA, WAF1 | {100 * full.scores('waa')[0]:.1f} | {waf1:.1f} | 72.4 | 71.6 |" in text
    assert "over 1 seed; 20" in text and str(folder) not in json.dumps(numbers["corpora"])


def test_meld_has_no_accuracy_to_quote(run: Callable[..., dict[str, Any]]) -> None:
    part = run(Tables, tables, "table_2", "--table", "2", only="meld")["parts"]["meld"]
    assert part["rows"][-2][-1] == "62.3" and len(part["emotions"]) == 3


def test_sentiment_by_both_conventions(run: Callable[..., dict[str, Any]], corpora: Path) -> None:
    found = run(Tables, tables, "table_3", "--table", "3", only="mosi")["parts"]["mosi"]["conventions"]
    with np.load(corpora / "mosi.npz") as arrays:
        sentiment = arrays["sentiment"][-sum(LENGTHS[-3:]) :]
    assert found["Has0"]["utterances"] == 19
    assert found["Non0"]["utterances"] == np.count_nonzero(sentiment) < 19
    assert all(0 <= found[name][score][0] <= 1 for name in found for score in ("waa", "waf1"))


@pytest.mark.slow
def test_ablations_are_tested_against_the_full_network(
    run: Callable[..., dict[str, Any]], full: Trained, folder: Path
) -> None:
    found = run(Tables, tables, "table_4", "--table", "4")["parts"]["iemocap"]["networks"]
    assert list(found) == [*ABLATIONS, FULL]
    for name in ABLATIONS:
        results = folder / "runs" / "quick" / "iemocap" / name_folder(name) / "results.json"
        network = json.loads(results.read_text(encoding="utf-8"))["networks"]["full"]
        (setting,) = ABLATIONS[name]
        assert network["config"]["model"][setting.split(".")[1].split("=")[0]] is False
        waf1 = network["seeds"][0]["test"]["waf1"]
        assert found[name]["waf1"] == [waf1]
        test = found[name]["against_full"]
        assert test["difference"] == pytest.approx(full.scores("waf1")[0] - waf1, abs=1e-6)
        assert test["low"] <= test["high"] and test["seeds_p"] is None and 0 < test["dialogues_p"] <= 1


def test_modalities(run: Callable[..., dict[str, Any]], folder: Path) -> None:
    found = run(Tables, tables, "table_5", "--table", "5")["parts"]["iemocap"]["networks"]
    assert list(found) == ["text", "audio", FULL]
    results = json.loads((folder / "runs/quick/iemocap/text/results.json").read_text(encoding="utf-8"))
    assert results["networks"]["full"]["features"] == {"text": ["text_small"]}


def test_what_is_trained_is_not_trained_again(run: Callable[..., dict[str, Any]], folder: Path) -> None:
    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("results.json")}

    run(Tables, tables, "table_5", "--table", "5")
    before = written()
    run(Tables, tables, "table_5", "--table", "5")
    assert before == written() != {}


def test_confusion(run: Callable[..., dict[str, Any]], full: Trained, folder: Path) -> None:
    found = run(Figures, figures, "figure_4", "--figure", "4")["parts"]["iemocap"]
    assert found["confusion"] == full.network["seeds"][0]["test"]["confusion"]
    assert (folder / "results" / "figure_4.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_alignments(run: Callable[..., dict[str, Any]], folder: Path) -> None:
    found = run(Figures, figures, "figure_5", "--figure", "5")["parts"]["iemocap"]
    assert set(found["networks"]) == {"none", "IA", "PA", "LSA", "IA+PA", "IA+LSA", "PA+LSA", FULL}
    assert set(found["against_full"]) == set(found["networks"]) - {FULL}
    losses = json.loads((folder / "runs/quick/iemocap/ia-lsa/results.json").read_text(encoding="utf-8"))
    on = losses["networks"]["full"]["config"]["loss"]
    assert (on["instance_alignment"], on["prototype_alignment"], on["latent_alignment"]) == (True, False, True)
    assert list_alignments()[FULL] == ()


@pytest.mark.slow
def test_fusion_by_emotion(run: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run(Figures, figures, "figure_6", "--figure", "6")["parts"]["iemocap"]["networks"]
    assert list(found) == ["w/o UW", "w/o CMI", FULL]
    assert list(found[FULL]) == [*full.corpus.label_names, "WAF1"]
    assert found[FULL]["WAF1"] == full.scores("waf1")


def test_nodes(run: Callable[..., dict[str, Any]], full: Trained, folder: Path) -> None:
    found = run(Figures, figures, "figure_7", "--figure", "7")["parts"]["iemocap"]
    assert set(found) == {"labels", "stages", "chance_purity"}  # The dots stay in the picture.
    assert list(found["stages"]) == ["before refinement", "w/o SyE", "w/o SeE", "full"]
    shares = np.bincount(full.labels) / len(full.labels)
    assert found["chance_purity"] == pytest.approx((shares**2).sum())
    assert (folder / "results" / "figure_7.png").stat().st_size > 10_000


def test_lambdas(run: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run(Figures, figures, "figure_8", "--figure", "8")["parts"]["iemocap"]
    assert found["lambdas"] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert found["waf1"][5] == full.scores("waf1")  # The default lambda is 0.6.


def test_simple_models_beside_the_networks(run: Callable[..., dict[str, Any]], full: Trained, folder: Path) -> None:
    found = run(Baselines, baselines, "baselines")["parts"]["iemocap"]["models"]
    assert list(found) == [
        "majority",
        "scenario",
        "linear",
        "linear, averaged context",
        "SVM, words in context",
        "recurrence and classifier",
        "full network",
    ]
    training = full.corpus.labels[full.corpus.utterances_of("train")]
    said = np.full(len(full.labels), np.bincount(training).argmax())
    assert found["majority"]["waf1"] == pytest.approx(f1_score(full.labels, said, average="weighted"))
    assert len(found["linear"]["folds"]) == 4  # Sessions of the training split.
    assert found["full network"]["full_minus_this"]["difference"] == 0
    assert "| full network |" in (folder / "results" / "baselines.md").read_text(encoding="utf-8")


def test_epochs_chosen_by_either_split(run: Callable[..., dict[str, Any]], folder: Path) -> None:
    found = run(Protocol, protocol, "protocol_selection", "--part", "selection")["parts"]["iemocap"]["chosen"]
    curves = {}
    for source in ("official", "swapped"):
        results = folder / "runs" / "quick" / f"iemocap_{source}" / "full" / "results.json"
        network = json.loads(results.read_text(encoding="utf-8"))["networks"]["full"]
        (seed,) = network["seeds"]
        curves[source] = seed["curves"]["validation_waf1"]
        if source == "official":
            assert found["last epoch"] == [pytest.approx(seed["test"]["waf1"])]  # The very same training.
    assert found["best epoch on the test split"] == [max(curves["swapped"])]
    assert found["best epoch on the validation split"] == [curves["swapped"][int(np.argmax(curves["official"]))]]


def test_scenes_are_parts_of_the_test_split(run: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run(Protocol, protocol, "protocol_scenes", "--part", "scenes")["parts"]["iemocap"]["scenes"]
    scripted = np.repeat(["script" in name for name in NAMES], LENGTHS)[full.utterances]
    for name, kept in (("scripted", scripted), ("improvised", ~scripted)):
        expected = f1_score(full.labels[kept], full.predicted[0][kept], average="weighted")
        assert found[name] == {"utterances": kept.sum(), "waf1": [pytest.approx(expected)]}


def test_calibration_by_hand(run: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run(Protocol, protocol, "protocol_calibration", "--part", "calibration")["parts"]["iemocap"]
    confidence, right = full.probabilities[0].max(-1), full.predicted[0] == full.labels
    gaps = [one["utterances"] * abs(one["confidence"] - one["accuracy"]) for one in found["reliability"]]
    assert sum(one["utterances"] for one in found["reliability"]) == len(full.labels)
    assert sum(gaps) / len(full.labels) == pytest.approx(found["ece"][0], abs=1e-5)
    assert found["ece"] == full.scores("ece") and found["accuracy"][-1] == [pytest.approx(right.mean())]
    surest = np.argsort(-confidence)[: round(0.5 * len(right))]
    assert found["accuracy"][4] == [pytest.approx(right[surest].mean())]


def test_noise_on_a_modality(run: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run(Protocol, protocol, "protocol_noise", "--part", "noise")["parts"]["iemocap"]["modalities"]
    assert list(found) == ["audio", "text"]
    for place, modality in enumerate(found):
        assert found[modality]["waf1"][0] == [pytest.approx(full.scores("waf1")[0])]
        assert found[modality]["weight"][0] == [pytest.approx(full.weights[0, :, place].mean(), abs=1e-5)]
        assert found[modality]["weight"][-1] != found[modality]["weight"][0]


def test_missing_modalities(run: Callable[..., dict[str, Any]], full: Trained) -> None:
    found = run(Protocol, protocol, "protocol_missing", "--part", "missing")["parts"]["iemocap"]["networks"]
    assert list(found) == ["full", "full, train.modality_dropout=0.3"]
    assert found["full"]["everything"] == [pytest.approx(full.scores("waf1")[0])]
    assert list(found["full"]) == ["everything", "without audio", "without text", "30 % lack one"]
    assert len({scores[0] for of_network in found.values() for scores in of_network.values()}) > 2


@pytest.mark.slow
def test_sessions_left_out(run: Callable[..., dict[str, Any]], folder: Path) -> None:
    found = run(Protocol, protocol, "protocol_sessions", "--part", "sessions")["parts"]["iemocap"]["networks"]
    assert list(found["full"]) == ["Ses01", "Ses02", "Ses03", "Ses04", "Ses05"]
    with np.load(folder / "runs" / "quick" / "corpora" / "iemocap_ses02.npz") as arrays:
        left_out = arrays["split_names"][arrays["split"]] == "test"
    np.testing.assert_array_equal(left_out, np.repeat([name.startswith("Ses02") for name in NAMES], LENGTHS))


@pytest.mark.slow
def test_settings_are_compared_without_the_test_split(run: Callable[..., dict[str, Any]], folder: Path) -> None:
    attempts = ["train.learning_rate=0.01", "model.dropout=0.1 loss.lambda_alignment=0"]
    options = [part for attempt in attempts for part in ("--attempt", attempt)]
    found = run(Choose, choose, "choice", *options)["parts"]["iemocap"]
    assert list(found["attempts"]) == [FULL, *attempts]
    assert all(len(of_attempt["last"]) == 4 for of_attempt in found["attempts"].values())
    for fold, session in enumerate(("Ses01", "Ses02", "Ses03", "Ses04")):
        with np.load(folder / "runs" / "quick" / "corpora" / f"iemocap_fold_{fold}.npz") as arrays:
            names, splits = arrays["dialogue_names"], arrays["split_names"][arrays["split"]][arrays["offsets"][:-1]]
        assert [name for name, split in zip(names, splits, strict=True) if split == "validation"] == [
            name for name in NAMES if name.startswith(session)
        ]
        assert set(names) == set(NAMES[:5])  # No test dialogue.


@pytest.mark.slow
def test_readings(run: Callable[..., dict[str, Any]]) -> None:
    found = run(Readings, readings, "readings")["parts"]["iemocap"]["networks"]
    assert list(found) == [*list_readings(), FULL]
    assert any(found[name]["waf1"] != found[FULL]["waf1"] for name in found)


def test_averaged_context_by_hand(full: Trained) -> None:
    corpus = full.corpus
    values = np.random.default_rng(0).normal(size=(corpus.num_utterances, 3))
    same, others = average_context(corpus, values)
    for start, end in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True):
        for row in range(start, end):
            near = [n for n in range(start, end) if n != row and abs(n - row) <= 10]
            for result, alike in ((same, True), (others, False)):
                chosen = [values[n] for n in near if (corpus.speakers[n] == corpus.speakers[row]) is np.bool_(alike)]
                np.testing.assert_allclose(result[row], np.mean(chosen, axis=0) if chosen else 0.0, atol=1e-12)


def test_scenarios_are_those_of_other_sessions(full: Trained) -> None:
    scenarios = name_scenarios(full.corpus)
    assert scenarios[0].startswith("impro01 ") and len(set(scenarios)) == 8
    outcomes = dict(train_models(full.corpus, ("text_small",), quick=True))
    train, test = (full.corpus.utterances_of(split) for split in ("train", "test"))
    for utterance, said in zip(test, outcomes["scenario"].predicted, strict=True):
        alike = full.corpus.labels[train[scenarios[train] == scenarios[utterance]]]
        assert said == np.bincount(alike if len(alike) else full.corpus.labels[train]).argmax()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "1", "--only", "meld"], "--only meld: there is no meld in it, only iemocap"),
        (["--table", "1", "--seeds", "0"], "--seeds must be at least 1"),
        (["--table", "3", "--set", "data.features=text_small"], "the array sentiment is missing"),
        (["--table", "2", "--set", "model.nothing=1"], "model.nothing"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], message: str, corpora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus: Corpus = make_corpus(LENGTHS, SPLITS, num_classes=2)
    for name in ("iemocap", "meld", "mosi"):
        save_corpus(corpus, tmp_path / f"{name}.npz")
    given = ["--corpora", str(tmp_path), "--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    settings = [part for setting in TINY for part in ("--set", setting)]
    with compile_quickly():
        assert run_script("x", Tables, tables, [*given, "--quick", *settings, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_networks_of_other_settings_are_not_taken(
    full: Trained, corpora: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--corpora", str(corpora), "--runs", str(folder / "runs"), "--results", str(folder / "results")]
    settings = [part for setting in (*SETTINGS, "model.dropout=0.1") for part in ("--set", setting)]
    assert run_script("x", Tables, tables, [*given, "--quick", "--table", "1", *settings]) == 2
    assert "model.dropout was 0.5 and is 0.1" in capsys.readouterr().err
