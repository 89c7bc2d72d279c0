"""Numbers that the paper reports; they were measured on other features (sBERT 768 and openSMILE 100).

Percent. IEEE Transactions on Affective Computing, 2024, Tables I to V.
"""

# Emotion -> accuracy and F1.
TABLE_1 = {
    "happy": (52.6, 57.1),
    "sad": (78.8, 79.9),
    "neutral": (74.3, 71.0),
    "angry": (75.2, 71.5),
    "excited": (80.3, 78.4),
    "frustrated": (65.1, 67.5),
}

# Emotion -> F1.
TABLE_2 = {
    "anger": 44.3,
    "disgust": 11.9,
    "fear": 12.1,
    "joy": 56.9,
    "neutral": 78.4,
    "sadness": 35.9,
    "surprise": 53.5,
}

# The corpora that the paper was measured on.
CORPORA_OF_PAPER = ("iemocap", "meld", "mosei")

# Corpus -> network -> WAA and WAF1, from Tables I to IV. Beside mosi stand the paper's numbers on CMU-MOSEI.
SCORES: dict[str, dict[str, tuple[float, float]]] = {
    "iemocap": {
        "full": (72.4, 71.6),
        "w/o UW": (68.9, 67.6),
        "w/o CMI": (68.1, 67.4),
        "w/o SyE": (68.3, 66.4),
        "w/o SeE": (68.8, 67.9),
    },
    "meld": {
        "full": (62.8, 62.3),
        "w/o UW": (60.3, 59.7),
        "w/o CMI": (60.5, 59.9),
        "w/o SyE": (61.7, 61.4),
        "w/o SeE": (59.5, 59.2),
    },
    "mosei": {
        "full": (86.9, 86.8),
        "w/o UW": (83.7, 84.1),
        "w/o CMI": (82.8, 83.2),
        "w/o SyE": (83.2, 83.6),
        "w/o SeE": (82.9, 83.1),
    },
}
SCORES["mosi"] = SCORES["mosei"]

# Corpus -> a single modality, or full for all -> WAA and WAF1.
TABLE_5: dict[str, dict[str, tuple[float, float]]] = {
    "iemocap": {"text": (67.2, 66.1), "audio": (60.6, 59.2), "full": (72.4, 71.6)},
    "meld": {"text": (60.4, 59.7), "audio": (55.5, 53.2), "full": (62.8, 62.3)},
    "mosei": {"text": (85.1, 85.5), "audio": (61.3, 61.5), "full": (86.9, 86.8)},
}
TABLE_5["mosi"] = TABLE_5["mosei"]
