#!/usr/bin/env bash
# Builds the wheel, installs it in a clean environment outside the checkout, and runs there what a user runs first.
set -euo pipefail
cd "$(dirname "$0")/.."
checkout=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make .venv/dev-ready

say() { echo "check_wheel: $*"; }

# A wheel of the files of the checkout, without what earlier builds left there.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
build_wheel() {
    mkdir -p "$work/$1/source"
    git ls-files -z --cached --others --exclude-standard | tar --create --null --ignore-failed-read --files-from - |
        tar --extract --directory "$work/$1/source"
    "$checkout/.venv/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --wheel-dir "$work/$1" "$work/$1/source"
}
build_wheel first
build_wheel second
wheel=$(echo "$work"/first/*.whl)
cmp "$wheel" "$work/second/$(basename "$wheel")"
say "two builds of $(basename "$wheel") are the same bytes"

"$checkout/.venv/bin/python" - "$wheel" <<'PYTHON'
import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
roots = {name.split("/")[0] for name in names}
assert {root for root in roots if not root.endswith(".dist-info")} == {"macsgr_jax"}, roots
pages = [f"viewer/page.{end}" for end in ("html", "css", "js")] + [f"serving/home.{end}" for end in ("html", "css", "js")]
models = [
    f"runs/pretrained/{model}/{file}"
    for model in ("meld-text", "meld-text-causal")
    for file in ("README.md", "model.json", "weights.safetensors")
]
for name in ("py.typed", *pages, *models):
    assert f"macsgr_jax/{name}" in names, f"the wheel lacks {name}"
PYTHON
say "macsgr_jax is its only top-level name"

# The versions that the tests run with, as constraints: pip takes no hashes for a wheel that was built a moment ago.
sed -e '/^ *--hash/d' -e 's/ *\\$//' requirements-dev.txt >"$work/constraints.txt"
"${PYTHON:-python3}" -m venv "$work/venv"
install() {
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$work/constraints.txt" "$@"
}
mkdir "$work/elsewhere"
cd "$work/elsewhere"
python=$work/venv/bin/python
macsgr=$work/venv/bin/macsgr

install "$wheel"
"$python" -c '
import importlib.util, sys
import macsgr_jax
for name in macsgr_jax.__all__:
    getattr(macsgr_jax, name)
assert importlib.util.find_spec("experiments") is None and "experiments" not in sys.modules
'
say "every public name is importable with the core requirements alone"

# Expects that a command ends with exit code 2 and one sentence that names an extra.
expect_missing() {
    local extra=$1 code=0
    shift
    "$@" >output.txt 2>&1 || code=$?
    if [ "$code" != 2 ] || ! grep -q "macsgr-jax\[$extra\]" output.txt || grep -q Traceback output.txt; then
        cat output.txt
        say "'$*' should name the extra $extra and end with 2; it ended with $code"
        exit 1
    fi
}
expect_missing cli "$macsgr" train --corpus synthetic --epochs 1 --seeds 1 --out run
install "$wheel[cli]"
"$macsgr" --version
"$macsgr" train --corpus synthetic --epochs 1 --seeds 1 --out run
test -s run/results.json
say "macsgr train runs with the extra cli"

printf 'speaker,text\nAnn,Where have you been?\nBob,I am so sorry!\n' >talk.csv
expect_missing text "$macsgr" predict talk.csv
expect_missing serve "$macsgr" serve
install "$wheel[cli,text]"
"$macsgr" predict talk.csv --out shipped.json
"$python" -c '
import json
from macsgr_jax import load_predictor
predicted = load_predictor().predict("talk.csv").to_dicts()
assert predicted == json.load(open("shipped.json"))["utterances"]
'
say "the model that ships predicts with the extras cli and text, in Python as on the command line"

examples=$checkout/examples/spoken
"$macsgr" train --corpus "$examples/spoken.npz" --epochs 2 --seeds 1 --out spoken
conversation=$examples/conversation/conversation.csv
expect_missing '[a-z]*' "$macsgr" predict "$conversation" --model spoken --out talk.jsonl
install "$wheel[cli,text,speech]"
"$macsgr" predict "$conversation" --model spoken --out talk.jsonl
"$macsgr" view talk.jsonl --out talk.html
test "$(wc -l <talk.jsonl)" = 12
test -s talk.html
say "the example conversation is predicted with the extras text and speech"
