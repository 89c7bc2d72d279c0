"""A published model whose weights were drawn at random: made in a moment, since nothing is trained or compiled."""

import dataclasses
from pathlib import Path

import numpy as np
from flax.traverse_util import unflatten_dict

from macsgr_jax.config import Config
from macsgr_jax.data.corpus import choose_features
from macsgr_jax.data.standardize import fit_standardizer
from macsgr_jax.features.registry import add_features
from macsgr_jax.inference.published import (
    FORMAT,
    Description,
    PublishedCorpus,
    PublishedFeatures,
    PublishedModel,
    PublishedSeed,
    weight_shapes,
    write_published,
)
from macsgr_jax.overrides import override, to_json
from tests.testing.corpora import make_corpus, tiny_config

WORDS = ("rain", "came", "nobody", "letter", "coast", "again", "waited", "garden")


def write_random_model(folder: Path, *settings: str, seeds: int = 2) -> Path:
    """Writes a tiny model of words, causal unless a setting says otherwise, for the emotions calm, glad and sad."""
    config: Config = override(tiny_config(), ["model.causal=true", *settings])
    random = np.random.default_rng(0)
    corpus = dataclasses.replace(make_corpus(), features={}, measured={})
    texts = tuple(" ".join(random.choice(WORDS, 3)) for _ in range(corpus.num_utterances))
    corpus = add_features(dataclasses.replace(corpus, texts=texts), (), ("text_lsa",), columns=4)
    standardizer = fit_standardizer(corpus, choose_features(corpus, ()), 5.0)
    shapes = weight_shapes(config.model, corpus.num_classes, standardizer)
    params = [
        unflatten_dict(
            {name: 0.5 * random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}, sep="/"
        )
        for _ in range(seeds)
    ]
    description = Description(
        format=FORMAT,
        version="0.0",
        name=folder.name,
        command=["macsgr", "train"],
        corpus=PublishedCorpus(corpus.name, "0" * 64, {"train": 20}),
        labels=list(corpus.label_names),
        network="full",
        seeds=[PublishedSeed(seed, 1, 1.5) for seed in range(seeds)],
        precision="float32",
        features=[PublishedFeatures("text", "text_lsa", 4, corpus.extractors["text_lsa"].description)],
        clip=5.0,
        config=to_json(config),
        scores={"test": {"waf1": 0.5}},
        files={"weights.safetensors": "0" * 64},
    )
    write_published(folder, PublishedModel(description, config, standardizer, corpus.extractors, tuple(params)), "card")
    return folder
