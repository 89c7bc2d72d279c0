"""Releases of corpora and files in common use: one file per source, and one row of READERS."""

import functools
from collections.abc import Mapping
from types import MappingProxyType

from macsgr_jax.data.sources.build import Source
from macsgr_jax.data.sources.cmu import read_cmu
from macsgr_jax.data.sources.conversations import read_labelled_conversations
from macsgr_jax.data.sources.corpus_npz import read_corpus_npz
from macsgr_jax.data.sources.dailydialog import read_dailydialog
from macsgr_jax.data.sources.emorynlp import read_emorynlp
from macsgr_jax.data.sources.feature_pickle import read_feature_pickle
from macsgr_jax.data.sources.iemocap import read_iemocap
from macsgr_jax.data.sources.meld import find_meld_clips, read_meld

# What `macsgr import` can read, in the order of its help.
READERS: Mapping[str, Source] = MappingProxyType(
    {
        "iemocap": Source(reads="the folder IEMOCAP_full_release, with six emotions", read=read_iemocap),
        "iemocap4": Source(reads="the same, with four emotions", read=functools.partial(read_iemocap, emotions="4")),
        "meld": Source(
            reads="the folder of MELD's three CSV files, and of its videos for audio features",
            read=read_meld,
            find_clips=find_meld_clips,
        ),
        "emorynlp": Source(reads="the folder of EmoryNLP's three CSV or JSON files", read=read_emorynlp),
        "dailydialog": Source(
            reads="the folder of DailyDialog's text files, or of RECCON's JSON files of it", read=read_dailydialog
        ),
        "cmu": Source(
            reads="a .csd file of the labels of CMU-MOSI or CMU-MOSEI, whose features are named with --sequence",
            read=read_cmu,
            options=("sequences", "folds", "target"),
            required={"sequences": "name the features with --sequence, such as --sequence text_glove=GloVe.csd"},
        ),
        "pickle": Source(
            reads="a feature pickle of DialogueRNN, MMGCN, COSMIC, COGMEN or MMSA, which may hold plain data alone:"
            " no code in it is run",
            read=read_feature_pickle,
            options=("labels", "thresholds"),
        ),
        "conversations": Source(
            reads="a folder with folders train, test and perhaps validation of transcripts as `macsgr predict` reads"
            " them, with labels",
            read=read_labelled_conversations,
            options=("strict", "allow_outside"),
        ),
        "corpus": Source(
            reads="an .npz file in the form of docs/corpus.md with sentences, to which text features are added",
            read=read_corpus_npz,
        ),
    }
)
