"""The labels of a corpus: counted, looked at, merged and left out."""

import dataclasses

import numpy as np
import pytest

from macsgr_jax.data.corpus import Corpus
from macsgr_jax.data.dialogue import Dialogue, Utterance
from macsgr_jax.data.labels import (
    count_labels,
    count_unlabelled,
    inspect_labels,
    leave_out_labels,
    merge_labels,
    unify_case,
)
from macsgr_jax.errors import InputError

LABELS = {
    "train": (("happy", "Happy", "sad"), ("sad", "sad")),
    "validation": (("HAPPY", "1.33"),),
    "test": (("happines", "-2.67", "sad"), ("-2.67",)),
}


def make_labelled(labels: dict[str, tuple[tuple[str, ...], ...]] = LABELS) -> Corpus:
    dialogues = [
        Dialogue(
            f"{split}{number}",
            [Utterance(f"{split}{number}_{row}", "AB"[row % 2], f"text {row}", one) for row, one in enumerate(names)],
            split,
        )
        for split, of in labels.items()
        for number, names in enumerate(of)
    ]
    names = sorted({one for of in labels.values() for names in of for one in names} - {""})
    corpus = Corpus.from_dialogues("talks", dialogues, names)
    values = np.arange(corpus.num_utterances, dtype=np.float32)[:, None]
    return dataclasses.replace(corpus, features={"text_a": values}, measured={"text_a": np.ones(values.shape, bool)})


def name_labels(corpus: Corpus) -> list[str]:
    return [[*corpus.label_names, ""][label] for label in corpus.labels]


def test_spellings_that_differ_in_case_are_one_emotion() -> None:
    corpus = unify_case(make_labelled())
    assert corpus.label_names == ("-2.67", "1.33", "happy", "happines", "sad")
    assert name_labels(corpus)[:3] == ["happy", "happy", "sad"]
    assert corpus.notices == ("Labels that differ in case alone are one emotion: HAPPY as happy, Happy as happy.",)
    assert unify_case(corpus) is corpus
    often = unify_case(make_labelled({"train": (("Sad", "Sad", "sad"),), "test": (("Sad",),)}))
    assert often.label_names == ("Sad",)


def test_labels_are_counted_by_split_and_looked_at() -> None:
    corpus = unify_case(make_labelled())
    assert count_labels(corpus)["train"] == {"-2.67": 0, "1.33": 0, "happy": 2, "happines": 0, "sad": 3}
    assert inspect_labels(corpus) == (
        "The split train has no utterance with the label -2.67, 1.33, happines.",
        "The split validation has no utterance with the label -2.67, happines, sad.",
        "The split test has no utterance with the label 1.33, happy.",
        "Fewer than 10 utterances have the label -2.67 (2), 1.33 (1), happy (3), happines (1), sad (4).",
        "Labels that look like one emotion: happy and happines. Merge them with --merge-labels of"
        " `macsgr import` if they are one.",
        "Labels that are numbers: -2.67, 1.33. Leave them out with --ignore-labels of `macsgr import` if they"
        " are none.",
    )


@pytest.mark.parametrize(
    ("labels", "alike"),
    [
        (("anger", "angre", "mad", "sad"), []),
        (("happines", "happiness"), ["happines and happiness"]),
        (("neutral", "neural"), ["neural and neutral"]),
        (("sad", "sadness", "joy", "fear"), ["sad and sadness"]),
        (("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"), []),
        (("joyful", "mad", "neutral", "peaceful", "powerful", "sad", "scared"), []),
        (("happy", "sad", "neutral", "angry", "excited", "frustrated"), []),
    ],
)
def test_which_spellings_look_alike(labels: tuple[str, ...], alike: list[str]) -> None:
    """The emotions of the usual corpora do not."""
    (*_,) = found = [one for one in inspect_labels(make_labelled({"train": (labels * 10,)})) if "look like" in one]
    assert found == [
        f"Labels that look like one emotion: {one}. Merge them with --merge-labels of `macsgr import` if they are one."
        for one in alike
    ]


def test_labels_are_merged_where_asked() -> None:
    corpus = merge_labels(unify_case(make_labelled()), {"HAPPY": ["Happines"], "low": ["-2.67", "sad"]})
    assert corpus.label_names == ("low", "1.33", "happy")
    assert name_labels(corpus)[-4:] == ["happy", "low", "low", "low"]
    assert corpus.notices[-1] == (
        "7 utterances got another label by --merge-labels: happines as happy, -2.67 as low, sad as low."
    )
    with pytest.raises(InputError, match="--merge-labels: no utterance has the label 'happi'; did you mean happy"):
        merge_labels(corpus, {"happy": ["happi"]})
    with pytest.raises(InputError, match="low is to become a and b: name it once"):
        merge_labels(corpus, {"a": ["low"], "b": ["low"]})


def test_utterances_of_some_labels_are_left_out() -> None:
    corpus, rows = leave_out_labels(make_labelled(), ["-2.67", "1.33"])
    assert rows.tolist() == [0, 1, 2, 3, 4, 5, 7, 9]
    assert corpus.features["text_a"][:, 0].tolist() == rows.tolist() and corpus.measured["text_a"].all()
    assert corpus.offsets.tolist() == [0, 3, 5, 6, 8] and corpus.split.tolist() == [0, 0, 1, 2]
    assert corpus.label_names == ("HAPPY", "Happy", "happines", "happy", "sad")
    assert name_labels(corpus) == ["happy", "Happy", "sad", "sad", "sad", "HAPPY", "happines", "sad"]
    assert corpus.utterance_ids[-1] == "test0_2" and corpus.texts is not None and corpus.texts[-1] == "text 2"
    assert corpus.notices == (
        "3 utterances with the label -2.67, 1.33 are left out, and 1 dialogues that have no others.",
    )
    with pytest.raises(InputError, match="--ignore-labels: no utterance has the label 'calm'; there are"):
        leave_out_labels(corpus, ["calm"])
    with pytest.raises(InputError, match="--ignore-labels leaves no utterance"):
        leave_out_labels(corpus, corpus.label_names)


def test_utterances_without_a_label_stay_without_one() -> None:
    corpus = make_labelled({"train": (("happy", "", "Happy"), ("",)), "test": (("", ""),)})
    assert count_unlabelled(corpus, "train") == count_unlabelled(corpus, "test") == 2
    assert count_labels(corpus) == {"train": {"Happy": 1, "happy": 1}, "test": {"Happy": 0, "happy": 0}}
    assert inspect_labels(corpus)[:2] == (
        "Utterances without a label are context, and in no loss and no score: 2 of 4 in train, 2 of 2 in test.",
        "The split test has no labels: it can be predicted, but not be learned from or scored.",
    )
    assert name_labels(unify_case(corpus)) == ["happy", "", "happy", "", "", ""]
    assert name_labels(merge_labels(corpus, {"glad": ["happy"]})) == ["glad", "", "Happy", "", "", ""]
    kept, rows = leave_out_labels(corpus, ["happy"])
    assert name_labels(kept) == ["", "Happy", "", "", ""] and rows.tolist() == [1, 2, 3, 4, 5]
