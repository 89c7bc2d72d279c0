"""A published model says what the run says, holds no path of this machine, and is refused where it is damaged."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

from macsgr_jax.calibration import fit_ensemble_temperature, fit_temperature
from macsgr_jax.cli.main import main
from macsgr_jax.data.corpus_file import load_corpus
from macsgr_jax.data.extractor import Extractor
from macsgr_jax.errors import InputError
from macsgr_jax.inference.published import is_published, read_published, round_weights, write_published
from macsgr_jax.runs.evaluate import evaluate_run
from macsgr_jax.runs.load import open_checkpoints
from macsgr_jax.runs.models import find_model, name_model
from macsgr_jax.runs.publish import hide_folders
from tests.testing.corpora import compile_quickly

safetensors = pytest.importorskip("safetensors.numpy", reason="published models need the package safetensors")


@pytest.fixture(scope="module")
def published(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two seeds of the tiny run as one ensemble; not to be changed."""
    folder = tmp_path_factory.mktemp("published") / "tiny"
    with compile_quickly():
        assert main(["publish", str(trained.out), str(folder), "--precision", "float32"]) == 0
    return folder


def test_it_is_the_networks_of_the_run(published: Path, trained: Any) -> None:
    """Every seed scores the same from the published folder as from the run."""
    with compile_quickly():
        found = evaluate_run(published, load_corpus(trained.corpus_file))
        expected = evaluate_run(trained.out)
    assert found == expected
    assert sorted(path.name for path in published.iterdir()) == ["README.md", "model.json", "weights.safetensors"]


def test_the_description_and_the_card(published: Path, trained: Any) -> None:
    description = read_published(published).description
    assert (description.name, description.network, description.precision) == ("tiny", "full", "float32")
    assert [one.seed for one in description.seeds] == [0, 1]
    assert len({one.temperature for one in description.seeds}) == 1  # One for the ensemble.
    assert set(description.scores) == {
        *("validation", "validation, without context", "test", "test, without context"),
    }
    assert description.labels == list(trained.corpus.label_names)
    card = (published / "README.md").read_text(encoding="utf-8")
    assert f"corpus: {description.corpus.name}, sha256" in card and description.corpus.sha256 in card
    assert f"{100 * description.scores['test']['waf1']:.1f}" in card and "Limits" in card
    for path in published.iterdir():
        assert str(trained.out.parent).encode() not in path.read_bytes(), f"{path.name} names a folder of this machine"


def test_the_ensemble_scores_as_its_averaged_probabilities(published: Path, trained: Any) -> None:
    from macsgr_jax.data.dataset import layout_of, prepare
    from macsgr_jax.runs.evaluate import gather_logits, predict_split

    model = read_published(published)
    prepared = prepare(trained.corpus, layout_of(model.config), model.standardizer)
    with compile_quickly():
        members = [list(predict_split(prepared, model.config, params, "test")) for params in model.params]
    logits = np.stack([gather_logits(trained.corpus, one)[0] for one in members])
    labels = gather_logits(trained.corpus, members[0])[1]
    scaled = logits / model.description.seeds[0].temperature
    probabilities = np.exp(scaled - logsumexp(scaled, axis=-1, keepdims=True)).mean(axis=0)
    scores = model.description.scores["test"]
    assert scores["waa"] == pytest.approx(np.mean(probabilities.argmax(axis=1) == labels), abs=1e-6)
    nll = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    assert scores["nll"] == pytest.approx(nll, abs=1e-4)


def test_it_is_exported_as_the_run_is(published: Path, trained: Any, tmp_path: Path) -> None:
    assert main(["export", str(published), "--out", str(tmp_path / "export"), "--seed", "1"]) == 0
    described = json.loads((tmp_path / "export" / "model.json").read_text(encoding="utf-8"))
    assert described["seed"] == 1 and described["labels"] == list(trained.corpus.label_names)


def test_half_precision_has_half_the_size(published: Path, trained: Any, tmp_path: Path) -> None:
    """Also with one seed, another name, and the corpus elsewhere; an earlier model is replaced when that is asked."""
    folder, corpus = tmp_path / "half", tmp_path / "moved.npz"
    shutil.copy(trained.corpus_file, corpus)
    arguments = ["publish", str(trained.out), str(folder), "--name", "mine", "--seeds", "1", "--corpus", str(corpus)]
    with compile_quickly():
        assert main(arguments) == 0
    assert main(arguments) == 2  # It is there already.
    with compile_quickly():
        assert main([*arguments, "--overwrite"]) == 0
    model = read_published(folder)
    assert model.description.name == "mine" and [one.seed for one in model.description.seeds] == [1]
    size = (published / "weights.safetensors").stat().st_size
    assert (folder / "weights.safetensors").stat().st_size < 0.35 * size
    whole = read_published(published).params[1]
    np.testing.assert_allclose(model.params[0]["prototypes"], whole["prototypes"], rtol=1e-3, atol=1e-6)


def test_what_cannot_be_published(trained: Any, published: Path, tmp_path: Path, capsys: Any) -> None:
    def refuse(*arguments: object) -> str:
        assert main(["publish", *map(str, arguments)]) == 2
        return str(capsys.readouterr().err)

    capsys.readouterr()
    assert "is not the folder of a finished run" in refuse(tmp_path, tmp_path / "out")
    assert "holds no checkpoint of seed 7" in refuse(trained.out, tmp_path / "out", "--seeds", "7")
    assert "write numbers separated by commas" in refuse(trained.out, tmp_path / "out", "--seeds", "a")
    assert "holds a published model" in refuse(trained.out, published)
    (tmp_path / "notes.txt").touch()
    assert "is not empty, it holds notes.txt" in refuse(trained.out, tmp_path, "--overwrite")
    assert "is not the one of the training" in refuse(trained.out, tmp_path / "out", "--corpus", "synthetic")
    with pytest.raises(InputError, match="publish in float32"):
        round_weights({"a": np.array([1e6], np.float32)}, "float16")
    assert not (tmp_path / "out").exists()


Change = Callable[[dict[str, Any]], object]
DAMAGES: dict[str, tuple[Change, str]] = {
    "format": (lambda one: one.update(format="macsgr_jax.model/9"), "model.json is damaged (format: input should be"),
    "missing": (lambda one: one.pop("labels"), "labels: field required"),
    "unknown": (lambda one: one.update(code="import os"), "code: unexpected"),
    "emotions": (lambda one: one["labels"].__setitem__(0, one["labels"][1]), "it names an emotion twice"),
    "temperature": (
        lambda one: one["seeds"][0].update(temperature=0.0),
        "seeds.0.temperature: input should be greater",
    ),
    "seed": (lambda one: one["seeds"][0].update(seed="0"), "seeds.0.seed: input should be a valid integer"),
    "columns": (lambda one: one["features"][0].update(columns=99), "and should be float[99]"),
    "fewer emotions": (
        lambda one: one["labels"].pop(),
        "weights.safetensors does not fit model.json (seed_0/classifier",
    ),
    "setting": (lambda one: one["config"]["model"].update(hidden_size=7), "was published by version"),
    "another size": (lambda one: one["config"]["model"].update(num_prototypes=5), "prototypes is float32[6, 8], and"),
    "checksum": (lambda one: one["files"].update({"weights.safetensors": "0" * 64}), "its checksum differs"),
    "path": (lambda one: one["files"].update({"../x": "0" * 64}), "and no other file"),
    "corpus": (lambda one: one["corpus"].update(sha256="/home"), "corpus.sha256: string should match"),
    "score": (lambda one: one["scores"]["test"].update(waf1="high"), "scores.test.waf1: input should be a valid"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_description_is_one_sentence(case: str, published: Path, tmp_path: Path) -> None:
    change, message = DAMAGES[case]
    folder = Path(shutil.copytree(published, tmp_path / "model"))
    values = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    change(values)
    (folder / "model.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        open_checkpoints(folder)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def rewrite_weights(folder: Path, content: bytes) -> None:
    """Damages the weights and the checksum with them."""
    (folder / "weights.safetensors").write_bytes(content)
    values = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    values["files"]["weights.safetensors"] = hashlib.sha256(content).hexdigest()
    (folder / "model.json").write_text(json.dumps(values), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("seed_0/prototypes", np.full((6, 8), np.nan, np.float32), "seed_0/prototypes is not finite"),
        (
            "seed_0/prototypes",
            np.zeros((6, 8), np.int32),
            "seed_0/prototypes is int32[6, 8], and should be float[6, 8]",
        ),
        ("seed_0/more", np.zeros(1, np.float32), "the network of this version has no weights seed_0/more"),
        ("standardizer/scale/", np.float32(-1), "is negative"),
        ("standardizer/mean/", np.float32(np.inf), "is not finite"),
        ("", None, "is missing"),
    ],
)
def test_damaged_weights_are_one_sentence(
    name: str, values: Any, message: str, published: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "model"))
    arrays = safetensors.load((folder / "weights.safetensors").read_bytes())
    if not name:
        del arrays["seed_1/prototypes"]
    elif name.endswith("/"):
        name = next(key for key in arrays if key.startswith(name))
        arrays[name] = np.full_like(arrays[name], values)
    else:
        arrays[name] = values
    rewrite_weights(folder, safetensors.save(arrays))
    with pytest.raises(InputError, match="download it again") as caught:
        read_published(folder)
    assert message in str(caught.value)


def test_files_that_are_not_what_they_are_called(published: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "model"))
    rewrite_weights(folder, b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match=r"weights\.safetensors is a placeholder of Git LFS"):
        read_published(folder)
    (folder / "model.json").write_bytes(b"\xff\x00")
    with pytest.raises(InputError, match=r"model\.json is damaged"):
        read_published(folder)


def test_extractors_are_kept_and_name_no_folder(published: Path, tmp_path: Path) -> None:
    """Strings are kept as JSON beside the weights; a sentence model keeps its own name alone."""
    model = read_published(published)
    terms = np.array(["nobody", "rain came"])
    made_by = {"kind": "words", "tokens": "words"}
    features = [dataclasses.replace(one, extractor=made_by) for one in model.description.features]
    extractor = Extractor(made_by, {"terms": terms, "rarity": np.ones(2, np.float32)})
    model = model._replace(
        description=dataclasses.replace(model.description, features=features),
        extractors={features[0].name: extractor},
    )
    write_published(tmp_path / "model", model, "card")
    read = read_published(tmp_path / "model").extractors[features[0].name]
    assert read.description == made_by and read.arrays["terms"].tolist() == terms.tolist()
    np.testing.assert_array_equal(read.arrays["rarity"], 1)
    from macsgr_jax.runs.publish import _without_folders

    assert _without_folders(Extractor({"kind": "x", "model": str(tmp_path)})).description["model"] == tmp_path.name


def test_the_command_is_shown_without_folders() -> None:
    command = [
        "macsgr",
        "train",
        "--corpus",
        "/home/ann/meld.npz",
        "--preset=my/own.json",
        "--out",
        "/data/run",
        "-o",
        "x",
    ]
    assert hide_folders(command) == ["macsgr", "train", "--corpus", "meld.npz", "--preset=own.json"]
    assert hide_folders(["__main__.py", "train"]) == ["macsgr", "train"]  # As `python -m macsgr_jax` is called.


def test_the_temperature_of_an_ensemble() -> None:
    """That of one network is the usual one; that of several minimises the likelihood of the mean."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    scores = random.normal(size=(4, 200, 3)) * 2 + 2 * np.eye(3)[labels]
    assert fit_ensemble_temperature(scores[:1], labels) == pytest.approx(fit_temperature(scores[0], labels), rel=1e-3)

    def loss(temperature: float) -> float:
        scaled = scores / temperature
        probabilities = np.exp(scaled - logsumexp(scaled, axis=-1, keepdims=True)).mean(axis=0)
        return float(-np.log(probabilities[np.arange(200), labels]).mean())

    best = fit_ensemble_temperature(scores, labels)
    assert loss(best) <= min(loss(best * 1.02), loss(best / 1.02), loss(1.0))
    assert best < fit_temperature(scores[0], labels)
    with pytest.raises(InputError, match="at least one utterance"):
        fit_ensemble_temperature(np.zeros((2, 0, 3)), labels[:0])


def test_info_names_the_other_command(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(published)]) == 2
    assert f"`macsgr models {published}` describes it" in capsys.readouterr().err


def test_names_of_models(published: Path, tmp_path: Path) -> None:
    assert find_model(str(published)) == published and is_published(published)
    assert name_model(published) == "tiny" and name_model(tmp_path / "run") == "run"
    with pytest.raises(InputError, match="there is no model nothing: give the folder"):
        find_model("nothing")
    for name in ("hf:", "hf:one", "hf:../../etc", "hf:a/b/c"):
        with pytest.raises(InputError, match="is no name of the hub"):
            find_model(name)


def test_a_model_of_the_hub(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the files of a model are asked for, and only where the hub is named."""
    import sys
    import types

    asked: list[tuple[str, Any, Any]] = []

    def download(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repository, revision, allow_patterns))
        if repository == "ann/gone":
            raise OSError("404 Client Error\nmore")
        return str(published)

    hub = types.ModuleType("huggingface_hub")
    hub.snapshot_download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert find_model("hf:ann/model@v1") == published
    files = ["model.json", "weights.safetensors", "vocabulary.json", "README.md"]
    assert asked == [("ann/model", "v1", files)]
    with pytest.raises(InputError, match=r"hf:ann/gone cannot be downloaded \(404 Client Error\)"):
        find_model("hf:ann/gone")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"macsgr-jax\[hub\]"):
        find_model("hf:ann/model")
