"""Word features: fitted once, applied anywhere, the same after a file."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from macsgr_jax.data import extractor
from macsgr_jax.errors import InputError
from macsgr_jax.features.tfidf import apply_tfidf, fit_tfidf

TEXTS = ("the rain came", "the rain came again", "nobody came", "a letter came from the coast")


def test_the_decomposition_is_that_of_weighted_counts() -> None:
    fitted = fit_tfidf(TEXTS, columns=2)
    values, known = apply_tfidf(fitted, TEXTS)
    counts = np.zeros((len(TEXTS), len(fitted.arrays["terms"])))
    for row, text in enumerate(TEXTS):
        words = [word for word in text.split() if len(word) > 1]  # Words of one letter do not count.
        terms = words + [" ".join(pair) for pair in itertools.pairwise(words)]
        for column, term in enumerate(fitted.arrays["terms"]):
            number = terms.count(term)
            counts[row, column] = (1 + np.log(number)) if number else 0
    rarity = np.log((1 + len(TEXTS)) / (1 + np.sum(counts > 0, axis=0))) + 1
    np.testing.assert_allclose(fitted.arrays["rarity"], rarity, rtol=1e-6)
    weighted = counts * rarity
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True)
    components = np.linalg.svd(weighted)[2][:2]
    np.testing.assert_allclose(np.abs(values), np.abs(weighted @ components.T), atol=1e-5)
    assert known.all()


def test_unknown_words_are_not_measured_and_a_file_changes_nothing(tmp_path: Path) -> None:
    fitted = fit_tfidf(TEXTS, columns=3)
    path = tmp_path / "kept.npz"
    np.savez(path, **extractor.to_arrays({"text_lsa": fitted}))  # type: ignore[arg-type]
    with np.load(path, allow_pickle=False) as arrays:
        again = extractor.from_arrays(dict(arrays))["text_lsa"]
    assert again.description == fitted.description
    new = ("the coast again", "zebra", "")
    for one, other in zip(apply_tfidf(fitted, new), apply_tfidf(again, new), strict=True):
        np.testing.assert_array_equal(one, other)
    assert apply_tfidf(again, new)[1].tolist() == [True, False, False]


def test_a_training_split_without_words_is_refused() -> None:
    with pytest.raises(InputError, match="there is no word in the texts of the training split"):
        fit_tfidf(("?", "..."))


CHINESE = ("我丢了钥匙", "我找到了钥匙", "今天下雨", "今天很热", "OK 今天下雨")


@pytest.mark.parametrize(
    ("texts", "query", "nearest"),
    [
        (CHINESE, "钥匙丢了", 0),
        (("鍵をなくした", "雨が降っている"), "鍵はどこ", 0),
        (("ฉันทำกุญแจหาย", "วันนี้ฝนตก"), "กุญแจอยู่ไหน", 0),
    ],
)
def test_scripts_without_spaces_are_divided_into_characters(texts: tuple[str, ...], query: str, nearest: int) -> None:
    """Otherwise a sentence is one word, which no other sentence has."""
    fitted = fit_tfidf(texts, columns=10)
    known, there = apply_tfidf(fitted, texts)
    asked, found = apply_tfidf(fitted, [query])
    assert there.all() and found.all() and int(np.argmax(known @ asked[0])) == nearest


def test_other_scripts_are_divided_as_before() -> None:
    texts = ("Well, I don't know_it", "a b cd", "Größe über naïve", "Привет, как дела")
    old = fit_tfidf(texts)
    plain = sorted({*old.arrays["terms"].tolist()})
    pairs = {"well don", "don know_it", "größe über", "über naïve", "привет как", "как дела"}
    assert set(plain) == pairs | {*["well", "don", "know_it", "cd", "größe", "über", "naïve", "привет", "как", "дела"]}
    assert {"今", "今 天", "ok"} <= set(fit_tfidf(CHINESE).arrays["terms"].tolist())


def test_an_extractor_of_an_earlier_version_is_applied_as_it_was_fitted() -> None:
    fitted = fit_tfidf(TEXTS, columns=3)
    description = {name: value for name, value in fitted.description.items() if name != "tokens"}
    earlier = extractor.Extractor(description, fitted.arrays)
    for one, other in zip(apply_tfidf(fitted, TEXTS), apply_tfidf(earlier, TEXTS), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not apply_tfidf(extractor.Extractor(description, fit_tfidf(CHINESE).arrays), CHINESE[:4])[1].any()
    with pytest.raises(InputError, match="were made of 'syllables', which this version of macsgr_jax does not know"):
        apply_tfidf(extractor.Extractor(description | {"tokens": "syllables"}, fitted.arrays), TEXTS)
