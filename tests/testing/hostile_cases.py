"""The cases of the harness of hostile inputs: single ones, and families that damage a good input in many ways."""

import functools
import io
import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.testing.hostile import Bases, Build, Case

Arrays = dict[str, Any]
LONG = "x" * 3_000_000
ESCAPES = "\x1b[2J\x1b]0;title\x07\r\nerror: forged \u202e"


def list_cases() -> list[Case]:
    """Returns all cases, those of one entry point together."""
    families = (
        *(_corpora, _corpora_by_array, _corpora_by_bytes, _trainings, _pickles, _pickles_by_bytes, _conversations),
        *(_transcripts_by_bytes, _other_sources, _sequences, _predictions, _folders, _folders_by_file, _resumed),
        *(_options, _paths),
    )
    return sorted((case for family in families for case in family()), key=lambda case: case.entry)


# Corpus files.


def read_arrays(bases: Bases) -> Arrays:
    """Returns the arrays of the good corpus."""
    with np.load(bases.corpus) as arrays:
        return dict(arrays)


def _with_arrays(change: Callable[[Arrays], object], *command: str) -> Build:
    def build(folder: Path, bases: Bases) -> list[str]:
        arrays = read_arrays(bases)
        change(arrays)
        with zipfile.ZipFile(folder / "corpus.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                content = io.BytesIO()
                np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=True)
                archive.writestr(f"{name}.npy", content.getvalue())
        return [*(command or ("info",)), "corpus.npz"]

    return build


def _set(name: str, value: Any) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: value(arrays[name]) if callable(value) else value})


def _replace_first(text: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.array([text, *array.tolist()[1:]])


def _corpora() -> Iterator[Case]:
    surrogate = np.array([0xD800, 0x41], np.uint32).view("<U2")
    beyond = np.array([0x110000], np.uint32).view("<U1")
    for name in ("utt_id", "label_names", "speaker_names", "dialogue_names"):
        yield Case(
            "info",
            f"half a letter in {name}",
            _with_arrays(_set(name, lambda array: np.concatenate([surrogate, array[1:]]))),
            "half of a letter",
        )
        yield Case(
            "info",
            f"no letter in {name}",
            _with_arrays(_set(name, lambda array: np.concatenate([beyond, array[1:]]))),
            "no letter",
        )
        yield Case("info", f"escapes in {name}", _with_arrays(_set(name, _replace_first(ESCAPES))))
        long = _set(name, _replace_first(LONG[:300_000]))
        yield Case("info", f"300 kB in {name}", _with_arrays(long), "characters, more than")

    def forged(arrays: Arrays) -> None:
        arrays["utt_id"] = _replace_first(ESCAPES)(arrays["utt_id"])
        arrays["label"] = np.where(np.arange(len(arrays["label"])) == 0, 99, arrays["label"])

    yield Case("info", "an error about an id with escapes", _with_arrays(forged), r"utterance \\x1b\[2J")
    for name in ("path", "file", "allow_pickle", "corpus", "self", "args"):
        yield Case("info", f"an array {name}", _with_arrays(_set(name, np.arange(3.0))), accepted=True)
    yield Case("info", "objects", _with_arrays(_set("extra", np.array([{}], object))), "never unpickled")
    yield Case("info", "text as features", _with_arrays(_set("text_small", np.array(["a"] * 29))), "feature set")
    yield Case("info", "features all NaN", _with_arrays(_set("text_small", lambda a: a * np.nan)), "has no value")
    yield Case(
        "info",
        "too many labels",
        _with_arrays(_set("label_names", np.arange(2000).astype(str))),
        "label_names has 2000",
    )

    def claim(folder: Path, bases: Bases) -> list[str]:
        header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }"
        with zipfile.ZipFile(folder / "corpus.npz", "w") as archive:
            archive.writestr("label.npy", header.ljust(127) + b"\n")
        return ["info", "corpus.npz"]

    def bomb(folder: Path, bases: Bases) -> list[str]:
        with zipfile.ZipFile(folder / "corpus.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(20):
                with archive.open(f"text_{number}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.zeros(2**20, np.float32))
        content = (folder / "corpus.npz").read_bytes()
        # The list of contents claims that each is 2 GB.
        size = (2**22 + 128).to_bytes(4, "little")
        (folder / "corpus.npz").write_bytes(content.replace(size, (2**31).to_bytes(4, "little")))
        return ["info", "corpus.npz"]

    def twice(folder: Path, bases: Bases) -> list[str]:
        shutil.copy(bases.corpus, folder / "corpus.npz")
        with zipfile.ZipFile(bases.corpus) as archive:
            content = archive.read("label.npy")
        import warnings

        with zipfile.ZipFile(folder / "corpus.npz", "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            archive.writestr("label.npy", content)
        return ["info", "corpus.npz"]

    yield Case("info", "a shape of 800 GB", claim, "not a readable")
    yield Case("info", "arrays that claim 40 GB", bomb, "more than|not a readable")
    yield Case("info", "an array twice", twice, "not a readable")


VALUES: dict[str, Callable[[np.ndarray], Any]] = {
    "empty": lambda array: array[:0],
    "scalar": lambda array: array[0],
    "one more": lambda array: np.concatenate([array, array[:1]]),
    "one less": lambda array: array[:-1],
    "two dimensions": lambda array: array[..., None],
    "complex": lambda array: np.zeros(array.shape, complex),
    "text": lambda array: np.full(array.shape, "=1+1"),
    "bytes": lambda array: np.full(array.shape, b"x"),
    "dates": lambda array: np.zeros(array.shape, "datetime64[s]"),
    "booleans": lambda array: np.ones(array.shape, bool),
    "large": lambda array: np.full(array.shape, 2**63, np.uint64),
    "negative": lambda array: np.full(array.shape, -1),
    "infinite": lambda array: np.full(array.shape, np.inf),
    "not a number": lambda array: np.full(array.shape, np.nan),
    "records": lambda array: np.zeros(array.shape, [("a", "f4"), ("b", "U2")]),
    "big endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "empty names": lambda array: np.full(array.shape, ""),
}
ARRAYS = ("label", "label_names", "offsets", "split", "split_names", "speaker", "speaker_names", "utt_id", "name")
ARRAYS = (*ARRAYS, "dialogue_names", "text_small", "text_small_mask", "audio_small")


def _corpora_by_array() -> Iterator[Case]:
    for name in ARRAYS:
        yield Case("info", f"{name} missing", _with_arrays(_pop(name)))
        for what, change in VALUES.items():
            yield Case("info", f"{name} {what}", _with_arrays(_change(name, change)))


def _pop(name: str) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.pop(name)


def _change(name: str, change: Callable[[np.ndarray], Any]) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: change(np.atleast_1d(arrays[name]))})


def damage(content: bytes, seed: int) -> bytes:
    """Returns bytes with some of them flipped, cut out, repeated or replaced, by a seed."""
    draw = random.Random(seed)
    data = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        position, length = draw.randrange(len(data) or 1), draw.choice((1, 1, 4, 64, len(data)))
        kind = draw.randrange(5)
        if kind == 0 and data:
            data[position] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[position : position + length]
        elif kind == 2:
            data[position:position] = data[position : position + min(length, 64)] * draw.choice((1, 50))
        elif kind == 3:
            data[position : position + min(length, 64)] = draw.randbytes(min(length, 64))
        else:
            data[position:position] = draw.choice((b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J", b'"', b"{" * 5000))
    return bytes(data)


def _corpora_by_bytes() -> Iterator[Case]:
    def build(folder: Path, bases: Bases, *, seed: int) -> list[str]:
        (folder / "corpus.npz").write_bytes(damage(bases.corpus.read_bytes(), seed))
        return ["info", "corpus.npz"]

    for seed in range(40):
        yield Case("info", f"damaged bytes {seed}", functools.partial(build, seed=seed))


def _trainings() -> Iterator[Case]:
    def train(change: Callable[[Arrays], object], *options: str) -> Build:
        return _with_arrays(change, "train", "--out", "run", *options, "--corpus")

    yield Case("train", "nothing to learn from", train(_hide_training), "no value in the training split")
    yield Case(
        "train", "one dialogue", train(_set("split", lambda a: np.where(np.arange(len(a)) < 4, 0, 2))), "too few"
    )
    yield Case(
        "train", "an unknown feature set", train(_pop("audio_small"), "--features", "audio_small"), "no feature set"
    )


def _hide_training(arrays: Arrays) -> None:
    mask = arrays["text_small_mask"].copy()
    mask[arrays["split"] == 0] = False
    arrays["text_small_mask"] = mask


# Pickles.


def make_pickle() -> dict[int, Any] | tuple[Any, ...]:
    """Returns the content of a small pickle in DialogueRNN's layout."""
    names = [f"talk{number}" for number in range(4)]
    draw = np.random.default_rng(0)
    return (
        {name: [f"{name}_{n}" for n in range(3)] for name in names},
        {name: ["M", "F", "M"] for name in names},
        {name: [0, 1, 2] for name in names},
        {name: [draw.normal(size=4).astype(np.float32) for _ in range(3)] for name in names},
        {name: [draw.normal(size=2).astype(np.float32) for _ in range(3)] for name in names},
        {name: ["yes .", "no .", "well ."] for name in names},
        names[:3],
        names[3:],
    )


def _with_pickle(change: Callable[[list[Any]], object]) -> Build:
    def build(folder: Path, bases: Bases) -> list[str]:
        content = list(make_pickle())
        change(content)
        (folder / "features.pkl").write_bytes(pickle.dumps(tuple(content), protocol=2))
        return ["import", "pickle", "features.pkl", "out.npz", "--labels", "a,b,c"]

    return build


def _put(part: int, value: Any) -> Callable[[list[Any]], object]:
    return lambda content: content[part].update({"talk1": value})


def _write_pickle(content: bytes) -> Build:
    def build(folder: Path, bases: Bases) -> list[str]:
        (folder / "features.pkl").write_bytes(content)
        return ["import", "pickle", "features.pkl", "out.npz"]

    return build


def _pickles() -> Iterator[Case]:
    entry = "import pickle"
    yield Case(entry, "as it should be", _with_pickle(lambda content: None), accepted=True)
    values: dict[str, Any] = {
        "a wider row": [np.zeros(5, np.float32)] * 3,
        "no row": [],
        "text": ["a", "b", "c"],
        "None": None,
        "objects": [np.array([{}, None], object)] * 3,
        "a number of 5,000 digits": [10**5000] * 3,
        "half a letter": ["\ud800"] * 3,
        "escapes": [ESCAPES] * 3,
        "3 MB": [LONG] * 3,
        "infinite": [float("inf")] * 3,
        "nested": [[[[1]]]] * 3,
        "a dictionary": {"a": 1},
        "bytes": [b"\xff\xfe"] * 3,
    }
    for part in range(1, 6):
        for what, value in values.items():
            yield Case(entry, f"part {part} is {what}", _with_pickle(_put(part, value)))
    yield Case(entry, "another width", _with_pickle(_put(3, [np.zeros(5, np.float32)] * 3)), "columns, and of dialogue")
    yield Case(entry, "an unhashable dialogue", _with_pickle(lambda c: c[6].append([])), "neither the layout")
    yield Case(entry, "code", _write_pickle(b"cos\nsystem\n(S'touch ran'\ntR."), "no plain data, and was not run")
    text = b"X" + (200_000).to_bytes(4, "little") + b"a" * 200_000
    copies = b"".join(b"cbuiltins\nlist\nh\x00\x85R0" for _ in range(200))
    yield Case(
        entry, "a text copied 200 times", _write_pickle(b"\x80\x02" + text + b"q\x00" + copies + b"h\x00."), "plain"
    )
    numbers = [2**61 - 1 << 0] + [(2**61 - 1) * n for n in range(1, 30_000)]
    yield Case(entry, "keys of one hash", _write_pickle(pickle.dumps(dict.fromkeys(numbers))), "usual whole numbers")
    yield Case(entry, "a set of one hash", _write_pickle(pickle.dumps(set(numbers), protocol=4)), "usual whole numbers")
    tuples = {(-1 - (n & 1), -1 - (n >> 1 & 1), n) for n in range(10)}
    yield Case(entry, "tuples as keys", _write_pickle(pickle.dumps(dict.fromkeys(tuples))), "usual whole numbers")
    for name in ("builtins\neval", "builtins\ngetattr", "numpy\nload", "os\nsystem", "codecs\nencode", "numpy\nsave"):
        code = f"c{name}\n".encode() + b"(S'x'\ntR."
        yield Case(entry, f"it calls {name.split()[1]} of {name.split()[0]}", _write_pickle(code), "was not run")


def _pickles_by_bytes() -> Iterator[Case]:
    for seed in range(50):
        content = damage(pickle.dumps(make_pickle(), protocol=seed % 5), seed)
        yield Case("import pickle", f"damaged bytes {seed}", _write_pickle(content))


# Conversations.

TRANSCRIPTS = {
    "talk.csv": "id,speaker,text,start,end,label\n0,Ann,Good morning.,0,1,calm\n1,Bob,It rains again.,1,2,sad\n",
    "talk.tsv": "speaker\ttext\tlabel\nAnn\tGood morning.\tcalm\nBob\tIt rains again.\tsad\n",
    "talk.jsonl": '{"speaker": "Ann", "text": "Good morning.", "label": "calm"}\n{"speaker": "B", "text": "Rain.", "label": "sad"}\n',  # noqa: E501
    "talk.json": '[{"speaker": "Ann", "text": "Good morning.", "label": "calm"}, {"speaker": "B", "text": "R", "label": "sad"}]',  # noqa: E501
    "talk.srt": "1\n00:00:00,000 --> 00:00:01,000\nAnn: Good morning.\n\n2\n00:00:01,000 --> 00:00:02,000\nBob: Rain.\n",  # noqa: E501
    "talk.vtt": "WEBVTT\n\n00:00.000 --> 00:01.000\n<v Ann>Good morning.\n\n00:01.000 --> 00:02.000\n<v Bob>Rain.\n",
    "talk.rttm": "SPEAKER talk 1 0.00 1.00 <NA> <NA> Ann <NA> <NA>\nSPEAKER talk 1 1.00 1.00 <NA> <NA> Bob <NA> <NA>\n",
    "talk.eaf": '<ANNOTATION_DOCUMENT><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="b"'  # noqa: E501
    ' TIME_VALUE="900"/></TIME_ORDER><TIER TIER_ID="Ann"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="x"'
    ' TIME_SLOT_REF1="a" TIME_SLOT_REF2="b"><ANNOTATION_VALUE>Rain.</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>'  # noqa: E501
    "</TIER></ANNOTATION_DOCUMENT>",
    "talk.TextGrid": 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n2\n<exists>\n1\n"IntervalTier"\n"Ann"\n0\n2\n1\n0\n1\n"Rain."\n',  # noqa: E501
    "talk.txt": "Ann: Good morning.\nBob: It rains again.\n",
}


def _conversation(name: str, content: bytes, *options: str, others: dict[str, bytes] | None = None) -> Build:
    def build(folder: Path, bases: Bases) -> list[str]:
        for split in ("train", "test"):
            (folder / "talks" / split).mkdir(parents=True)
        (folder / "talks" / "train" / "good.csv").write_text(
            "speaker,text,label\nAnn,The rain came again today.,calm\nBob,Nobody came to the coast.,sad\n"
        )
        (folder / "talks" / "test" / "other.csv").write_text("speaker,text,label\nAnn,The rain came.,calm\n")
        (folder / "talks" / "train" / name).write_bytes(content)
        for other, inside in (others or {}).items():
            (folder / other).parent.mkdir(exist_ok=True, parents=True)
            (folder / other).write_bytes(inside)
        return ["import", "conversations", "talks", "out.npz", *options]

    return build


def _csv(*rows: str, head: str = "speaker,text,label") -> bytes:
    return "\n".join([head, *rows, ""]).encode("utf-8", "surrogatepass")


def _conversations() -> Iterator[Case]:
    entry = "import conversations"
    yield Case(entry, "as it should be", _conversation("a.csv", _csv("Ann,Yes indeed.,calm")), accepted=True)
    for what, text in (("escapes", ESCAPES), ("a formula", "=1+1"), ("markup", "$\\frac$ $$ <script>"), ("3 MB", LONG)):
        quoted = '"' + text.replace('"', '""') + '"'
        for column, row in (
            ("speaker", f"{quoted},Yes,calm"),
            ("text", f"Ann,{quoted},calm"),
            ("label", f"Ann,Yes,{quoted}"),
        ):
            yield Case(entry, f"{what} in {column}", _conversation("a.csv", _csv(row)))
    for what, clip in (
        ("above", "../../../../etc/passwd"),
        ("absolute", "/etc/passwd"),
        ("a URL", "http://127.0.0.1:9/x.wav"),
        ("concat", "concat:/etc/passwd|/etc/group"),
        ("a device", "/dev/zero"),
    ):
        content = _csv(f"Ann,Yes,calm,{clip}", head="speaker,text,label,clip")
        outside = what in ("above", "absolute", "a device")
        sentence = "outside the folder" if outside else None
        yield Case(entry, f"a clip {what}", _conversation("a.csv", content, "--features", "audio_egemaps"), sentence)
    long_clip = _csv(f"Ann,Yes,calm,{'y' * 900}.wav", head="speaker,text,label,clip")
    yield Case(
        entry, "a clip of 900 letters", _conversation("a.csv", long_clip, "--features", "text_lsa,audio_egemaps")
    )
    yield Case(entry, "JSON of 100,000 lists", _conversation("a.json", b"[" * 100_000))
    yield Case(
        entry,
        "JSON of a number of 9,000 digits",
        _conversation("a.jsonl", b'{"text": ' + b"1" * 9000 + b"}"),
        "not JSON",
    )
    yield Case(entry, "tags without ends", _conversation("a.srt", b"1\n0:0:0,0 --> 0:0:1,0\nA: " + b"<a" * 40_000))
    yield Case(entry, "voices without ends", _conversation("a.vtt", b"WEBVTT\n\n0:00.0 --> 0:01.0\n" + b"<v " * 30_000))
    yield Case(entry, "spaces in a voice", _conversation("a.vtt", b"WEBVTT\n\n0:00.0 --> 0:01.0\n<v" + b" " * 90_000))
    yield Case(
        entry, "entities", _conversation("a.eaf", b'<!DOCTYPE a [<!ENTITY b "c">]><ANNOTATION_DOCUMENT/>'), "entities"
    )
    yield Case(
        entry, "times of 1e308", _conversation("a.rttm", b"SPEAKER t 1 1e308 1e308 <NA> <NA> A <NA> <NA>"), "RTTM"
    )
    yield Case(
        entry,
        "a header of 5,000 columns",
        _conversation("a.csv", _csv("x", head=",".join(f"tex{n}" for n in range(5000)))),
    )
    yield Case(entry, "only empty texts", _conversation("good.csv", _csv("Ann,,calm", "Bob,,sad")), "no word")
    yield Case(entry, "a single word", _conversation("good.csv", _csv("Ann,yes,calm")))
    yield Case(entry, "a pipe", _pipe, None)


def _pipe(folder: Path, bases: Bases) -> list[str]:
    arguments = _conversation("a.csv", _csv("Ann,Yes,calm"))(folder, bases)
    os.mkfifo(folder / "talks" / "train" / "b.csv")
    return arguments


def _transcripts_by_bytes() -> Iterator[Case]:
    for name, text in TRANSCRIPTS.items():
        for seed in range(10):
            content = damage(text.encode(), seed)
            yield Case("import conversations", f"{name} damaged {seed}", _conversation(name, content))


# Other sources.


def _other_sources() -> Iterator[Case]:
    for kind in ("iemocap", "iemocap4", "meld", "emorynlp", "cmu", "corpus", "conversations", "pickle"):
        more = ["--sequence", "text_a=a.csd"] if kind == "cmu" else []
        yield Case("import", f"{kind} of a pipe", _source(kind, os.mkfifo, *more), "")
        yield Case("import", f"{kind} of an empty file", _source(kind, Path.touch, *more), "")
        yield Case("import", f"{kind} of an empty folder", _source(kind, Path.mkdir, *more), "")
        yield Case(
            "import", f"{kind} of /dev/zero", _source(kind, lambda path: os.symlink("/dev/zero", path), *more), ""
        )
        yield Case("import", f"{kind} of nothing", _source(kind, lambda path: None, *more), "")
    texts = np.array(["rain"] * 29)
    add = functools.partial(_with_arrays, _set("text", texts))
    yield Case(
        "import",
        "texts of a single word",
        lambda f, b: [*add("import", "corpus")(f, b), "out.npz", "--features", "text_lsa"],
        "single word",
    )
    keyword = _with_arrays(
        lambda a: a.update(path=np.zeros(1), file=np.zeros(1), text=_sentences(29)), "import", "corpus"
    )
    yield Case(
        "import",
        "arrays with names of arguments",
        lambda f, b: [*keyword(f, b), "out.npz", "--features", "text_lsa"],
        accepted=True,
    )
    long = _with_arrays(lambda a: a.update(text=_sentences(29, LONG[:99_000])), "import", "corpus")
    yield Case(
        "import",
        "a sentence of 99,000 letters",
        lambda f, b: [*long(f, b), "out.npz", "--features", "text_lsa"],
        accepted=True,
    )


def _sentences(count: int, first: str = "rain") -> np.ndarray:
    return np.array([first, *(f"word{number} and the rain" for number in range(count - 1))])


def _source(kind: str, make: Callable[[Path], object], *more: str) -> Build:
    def build(folder: Path, bases: Bases) -> list[str]:
        make(folder / "source")
        return ["import", kind, "source", "out.npz", *more]

    return build


def _sequences() -> Iterator[Case]:
    def build(folder: Path, bases: Bases, *, what: str) -> list[str]:
        import h5py

        (folder / "secret.bin").write_bytes(np.arange(60.0).tobytes())
        with h5py.File(folder / "other.csd", "w") as other:
            other["rows"] = np.arange(12.0).reshape(3, 4)
        for name in ("labels", "features"):
            with h5py.File(folder / f"{name}.csd", "w") as file:
                for video in "abcd":
                    group = file.create_group(f"x/data/{video}")
                    group["intervals"] = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]])
                    values = np.ones((3, 1 if name == "labels" else 4))
                    if name == "labels" or video != "b" or what == "nothing":
                        group["features"] = values
                    elif what == "external storage":
                        group.create_dataset("features", (3, 4), "f8", external=[("secret.bin", 0, 96)])
                    elif what == "an external link":
                        group["features"] = h5py.ExternalLink("other.csd", "rows")
                    elif what == "a virtual dataset":
                        layout = h5py.VirtualLayout((3, 4), "f8")
                        layout[:] = h5py.VirtualSource("other.csd", "rows", (3, 4))
                        group.create_virtual_dataset("features", layout)
                    elif what == "a dataset of 8 TB":
                        group.create_dataset("features", (10**9, 1000), "f8", chunks=(1000, 1000))
                    elif what == "text":
                        group["features"] = np.full((3, 4), "x", "S1")
                    elif what == "a soft link to nothing":
                        group["features"] = h5py.SoftLink("/nowhere")
                    elif what == "a group":
                        group.create_group("features")
        return ["import", "cmu", "labels.csd", "out.npz", "--sequence", "text_x=features.csd"]

    kinds = ("external storage", "an external link", "a virtual dataset", "a dataset of 8 TB", "text")
    for what in (*kinds, "a soft link to nothing", "a group"):
        yield Case("import cmu", what, functools.partial(build, what=what), "")
    yield Case("import cmu", "nothing", functools.partial(build, what="nothing"), accepted=True)

    def flip(folder: Path, bases: Bases, *, seed: int) -> list[str]:
        arguments = build(folder, bases, what="nothing")
        content = bytearray((folder / "features.csd").read_bytes())
        draw = random.Random(seed)
        for _ in range(20):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        (folder / "features.csd").write_bytes(content[: len(content) if seed % 3 else len(content) // 2])
        return arguments

    for seed in range(15):
        yield Case("import cmu", f"damaged bytes {seed}", functools.partial(flip, seed=seed))


# Predictions.

RECORD: dict[str, Any] = {
    "conversation": "talk",
    "utterance": "a",
    "speaker": "Ann",
    "text": "Yes.",
    "start": 0.0,
    "end": 1.0,
    "emotion": "calm",
    "probabilities": {"calm": 0.75, "sad": 0.25},
    "weights": {"text": 1.0},
    "available": {"text": True},
    "uncertainty": 0.5,
    "influences": [],
    "edges": [],
}
ODD = (None, [], {}, "", ESCAPES, -1, 2**70, float("nan"), float("inf"), True, [[]], {"a": {}}, "\ud800")


def _predictions() -> Iterator[Case]:
    def view(content: bytes) -> Build:
        def build(folder: Path, bases: Bases) -> list[str]:
            (folder / "p.jsonl").write_bytes(content)
            return ["view", "p.jsonl", "--out", "p.html"]

        return build

    yield Case("view", "as it should be", view(json.dumps(RECORD).encode()), accepted=True)
    for key in RECORD:
        for number, value in enumerate(ODD):
            content = json.dumps(RECORD | {key: value}).encode()
            yield Case("view", f"{key} odd {number}", view(content))
        yield Case(
            "view",
            f"{key} missing",
            view(json.dumps({k: v for k, v in RECORD.items() if k != key}).encode()),
            "missing",
        )
    second = RECORD | {"utterance": "b", "probabilities": {ESCAPES: 0.5, "y": 0.5}}
    both = json.dumps(RECORD) + "\n" + json.dumps(second)
    yield Case("view", "emotions with escapes", view(both.encode()), "probabilities are not of")
    for seed in range(30):
        yield Case("view", f"damaged bytes {seed}", view(damage(both.encode(), seed)))


# Folders of runs.

FILES = {
    "info": ("results.json", "run.json"),
    "evaluate": (
        "checkpoints/full/description.json",
        "checkpoints/full/standardizer.npz",
        "checkpoints/full/extractors.npz",
        "checkpoints/full/seed_0/checksums.json",
    ),
    "export": ("checkpoints/full/temperatures.json", "checkpoints/full/description.json"),
}
CONTENTS = {
    "empty": b"",
    "a list": b"[]",
    "an object": b"{}",
    "null": b"null",
    "half": None,
    "NaN": b'{"0": NaN, "1": NaN}',
    "a number of 9,000 digits": b"9" * 9000,
    "lists in lists": b"[" * 60_000,
    "no text": b"\xff\xfe\0\1",
    "zeros": b"\0" * 5000,
}


def _copy(folder: Path, bases: Bases) -> Path:
    shutil.copy(bases.corpus, folder / bases.corpus.name)  # Where it is seen from the run.
    return Path(shutil.copytree(bases.run, folder / "run", ignore=shutil.ignore_patterns("*.png")))


def _command(entry: str) -> list[str]:
    return {
        "info": ["info", "run"],
        "evaluate": ["evaluate", "run"],
        "export": ["export", "run", "--out", "exported"],
        "resume": ["train", "--resume"],
    }[entry]


def _folders_by_file() -> Iterator[Case]:
    def build(folder: Path, bases: Bases, *, entry: str, name: str, content: bytes | None) -> list[str]:
        run = _copy(folder, bases)
        if entry == "info" and name == "run.json":
            (run / "results.json").unlink()
        half = (run / name).read_bytes()
        (run / name).write_bytes(half[: len(half) // 2] if content is None else content)
        return _command(entry)

    for entry, names in FILES.items():
        for name in names:
            for what, content in CONTENTS.items():
                parts = functools.partial(build, entry=entry, name=name, content=content)
                optional = name.endswith("extractors.npz")
                yield Case(entry, f"{Path(name).name} is {what}", parts, None if optional else "")

    def change(folder: Path, bases: Bases, *, path: tuple[str | int, ...], value: Any, entry: str) -> list[str]:
        run = _copy(folder, bases)
        file = run / ("results.json" if entry == "info" else "checkpoints/full/description.json")
        content = json.loads(file.read_text(encoding="utf-8"))
        inside = content
        for part in path[:-1]:
            inside = inside[part]
        inside[path[-1]] = value
        file.write_text(json.dumps(content))
        return _command(entry)

    results = [
        ("corpus",),
        ("networks",),
        ("networks", "full"),
        ("device",),
        ("command",),
        ("networks", "full", "seeds"),
    ]
    results += [("networks", "full", "config"), ("networks", "full", "summary"), ("corpus", "labels"), ("reference",)]
    for path in results:
        for number, value in enumerate((None, 7, "x", [], {}, [[]])):
            yield Case(
                "info",
                f"{'.'.join(map(str, path))} odd {number}",
                functools.partial(change, path=path, value=value, entry="info"),
            )
    described = [("corpus",), ("config",), ("corpus", "labels"), ("corpus", "sha256"), ("corpus", "path"), ("version",)]
    described += [
        ("config", "model", "hidden_size"),
        ("config", "model", "num_prototypes"),
        ("config", "data", "features"),
    ]
    for path in described:
        for number, value in enumerate((None, -1, 2**40, [ESCAPES], {"a": 1}, True)):
            partial = functools.partial(change, path=path, value=value, entry="evaluate")
            yield Case("evaluate", f"{'.'.join(map(str, path))} odd {number}", partial)


def _folders() -> Iterator[Case]:
    def flip(folder: Path, bases: Bases, *, seed: int) -> list[str]:
        run = _copy(folder, bases)
        files = sorted(
            path for path in (run / "checkpoints/full/seed_0").rglob("*") if path.is_file() and path.stat().st_size
        )
        draw = random.Random(seed)
        path = draw.choice(files)
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        return ["evaluate", "run"]

    for seed in range(25):
        yield Case("evaluate", f"one bit of the weights {seed}", functools.partial(flip, seed=seed), "seed_0|checksums")

    def truncate(folder: Path, bases: Bases, *, seed: int) -> list[str]:
        run = _copy(folder, bases)
        files = sorted(path for path in (run / "checkpoints/full/seed_1").rglob("*") if path.is_file())
        path = files[seed % len(files)]
        if seed % 2:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-1] or b"x")
        return ["evaluate", "run"]

    for seed in range(12):
        yield Case(
            "evaluate",
            f"weights missing or truncated {seed}",
            functools.partial(truncate, seed=seed),
            "seed_1|checksums|holds no",
        )

    def standardizer(folder: Path, bases: Bases, *, key: str, value: Callable[[np.ndarray], Any]) -> list[str]:
        path = _copy(folder, bases) / "checkpoints/full/standardizer.npz"
        with np.load(path) as arrays:
            content = dict(arrays)
        content[key] = value(content[key])
        np.savez(path, **content)
        return ["evaluate", "run"]

    with_text = ("mean_text_small", "scale_text_small", "log_scale_text_small", "clip", "modality", "feature_set")
    for key in with_text:
        for what in ("empty", "two dimensions", "negative", "not a number", "large", "text", "complex"):
            change = VALUES[what]
            make = functools.partial(standardizer, key=key, value=lambda a, change=change: change(np.atleast_1d(a)))
            yield Case("evaluate", f"{key} {what}", make)


def _resumed() -> Iterator[Case]:
    def build(folder: Path, bases: Bases, *, name: str, content: bytes | None) -> list[str]:
        run = _copy(folder, bases)
        (run / "results.json").unlink()
        half = (run / name).read_bytes()
        (run / name).write_bytes(half[: len(half) // 2] if content is None else content)
        return ["train", "--resume", "--corpus", str(bases.corpus), "--out", "run", *bases_options()]

    for name in ("run.json", "checkpoints/full/part_0.npz"):
        for what, content in CONTENTS.items():
            yield Case(
                "train --resume",
                f"{Path(name).name} is {what}",
                functools.partial(build, name=name, content=content),
                "",
            )

    def part(folder: Path, bases: Bases, *, key: str, value: Callable[[np.ndarray], Any]) -> list[str]:
        run = _copy(folder, bases)
        (run / "results.json").unlink()
        path = run / "checkpoints/full/part_0.npz"
        with np.load(path) as arrays:
            stored = dict(arrays)
        stored[key] = value(stored[key])
        np.savez(path, **stored)
        return ["train", "--resume", "--corpus", str(bases.corpus), "--out", "run", *bases_options()]

    for key in ("runs", "terms", "validation", "seconds"):
        for what in ("empty", "two dimensions", "text", "complex"):
            yield Case(
                "train --resume", f"{key} {what}", functools.partial(part, key=key, value=VALUES[what]), "damaged"
            )


def bases_options() -> list[str]:
    """Returns the options of the run that is damaged."""
    from tests.testing.corpora import TINY

    settings = [part for setting in (*TINY, "train.checkpoint=best") for part in ("--set", setting)]
    return ["--seeds", "2", "--epochs", "2", *settings]


# Options and paths.


def _options() -> Iterator[Case]:
    numbers = (
        "-1",
        "1e400",
        "nan",
        "",
        "99999999999999999999",
        "9" * 5000,
        "0x10",
        "\uff11e5",
        "1e12",
        "\x1b[2J",
        "NaN,1",
    )
    options = {
        "train": ("--seeds", "--first-seed", "--epochs", "--save-every", "--split-batch", "--runs-at-once"),
        "sweep": ("--random", "--random-seed", "--seeds", "--epochs"),
        "tune": ("--runs", "--minutes", "--seeds", "--random-seed"),
        "predict": ("--context", "--samples", "--jobs", "--seed"),
    }
    for command, names in options.items():
        for name in names:
            for number in numbers:
                if (name, number) == ("--minutes", "\uff11e5"):
                    continue  # A time like any other.
                positional = ["none.csv", "--model", "nowhere"] if command == "predict" else ["--out", "run"]
                yield Case(
                    "options", f"{command} {name} {number[:20]!r}", _arguments(command, *positional, name, number), ""
                )
    for setting in (
        *("train.epochs=1e12", "model.num_prototypes=999999999", "model.max_hops=-1", "model.window_past=1e400"),
        *(
            "loss.temperature_cross=0",
            "loss.temperature_cross=nan",
            "train.learning_rate=1e400",
            "a.b=c",
            "=",
            "x" * 9999,
        ),
        *("loss.sinkhorn_iterations=1000000000", "data.slots_per_row=99999999999", "model.hidden_size=7", ESCAPES),
        *("train.dialogues_per_step=10000000000", "data.validation_seed=-1", "loss.offset_cross=1e39"),
    ):
        yield Case("options", f"--set {setting[:30]!r}", _arguments("train", "--out", "run", "--set", setting), "")
    for grid in (
        *("lambda=0:1:1e-9", "lambda=1:0:0.1", "lambda=0:1:0", "lambda=,", "lambda=", "lambda", "lambda=a:b:c", "x=1"),
        *("lambda=0:1e999999:1", "lambda=nan:1:1", "lambda=0:1:-1", f"lambda=0:{'9' * 9000}:1", "lambda=1e-999999:1:1"),
    ):
        yield Case("options", f"--grid {grid[:30]}", _arguments("sweep", "--out", "run", "--grid", grid), "")
    for text in ("lambda=1:0", "lambda=0:1:log", "lambda=a", "lambda=", "lambda=0:1e400", "lambda=1:2:3:log"):
        yield Case(
            "options", f"--range {text}", _arguments("sweep", "--out", "run", "--random", "2", "--range", text), ""
        )
    for arguments in (
        ["nonsense"],
        ["\x1b[2J"],
        ["train"],
        ["train", "--nonsense"],
        ["info"],
        ["view", "a"],
        ["train", "--out"],
    ):
        yield Case("options", f"arguments {arguments!r}", _arguments(*arguments), "")


def _arguments(*arguments: str) -> Build:
    return lambda folder, bases: list(arguments)


def _paths() -> Iterator[Case]:
    odd = {
        "of 5,000 letters": "x" * 5000,
        "of 300 folders": "a/" * 300 + "b",
        "with a null": "a\0b",
        "with escapes": "\x1b[2J",
        "empty": "",
        "a device": "/dev/zero",
        "a terminal": "/dev/tty",
        "a folder": ".",
        "below a file": "/etc/passwd/x",
        "half a letter": "\udcff",
    }
    for what, path in odd.items():
        commands = {
            "info": ["info", path],
            "train": ["train", "--out", "run", "--corpus", path],
            "train into": ["train", "--corpus", "none.npz", "--out", path],
            "preset": ["train", "--out", "run", "--preset", path],
            "evaluate": ["evaluate", path],
            "view": ["view", path, "--out", "p.html"],
            "predict": ["predict", path, "--model", "nowhere"],
            "model": ["predict", "talk.csv", "--model", path],
            "import": ["import", "pickle", path, "out.npz"],
            "import folder": ["import", "conversations", path, "out.npz"],
            "import cmu": ["import", "cmu", path, "out.npz", "--sequence", "text_a=b.csd"],
            "export": ["export", path, "--out", "exported"],
        }
        for command, arguments in commands.items():
            yield Case("paths", f"{command}: a path {what}", _arguments(*arguments), "")
