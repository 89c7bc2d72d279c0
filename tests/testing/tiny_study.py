"""What the tests of the paper's evidence share: tiny dialogues, named as IEMOCAP's are."""

from tests.testing.corpora import TINY

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
