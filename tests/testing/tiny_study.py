"""Tiny dialogues, named as those of IEMOCAP, and settings under which the paper's scripts train one program."""

from tests.testing.corpora import TINY

# The derived corpora (splits swapped, refit, sessions left out) have batches of the same shape.
LENGTHS = (5, 6, 7, 6, 7, 8, 6, 5)
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
# Settings of the presets that would be a program of its own have the same value on every corpus.
SETTINGS = (
    "data.features=audio_small,text_small",
    "loss.class_balance=0",
    "model.input_dropout=0.3",
    "train.dialogues_per_step=4",
    "train.utterance_dropout=0.5",
    "train.warmup_epochs=0",
    *TINY,
)
