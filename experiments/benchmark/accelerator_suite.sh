#!/usr/bin/env bash
# Measures this machine's accelerator in under 9 minutes and prints a table: 10 seeds x 150 epochs, the paper's grid, runs
# at once, dialogue lengths, peak memory.
#   experiments/gpu_suite.sh OUT.json           on a GPU or TPU
#   experiments/gpu_suite.sh OUT.json --small   on anything, in a minute or two, to see that everything runs
set -euo pipefail
out=$(realpath -m "${1:?where to write the JSON}")
shift
cd "$(dirname "$0")/.."
# The programs' real use is measured, not what is held in reserve for them.
export XLA_PYTHON_CLIENT_PREALLOCATE=${XLA_PYTHON_CLIENT_PREALLOCATE:-false}
exec "${PYTHON:-python}" -m experiments.benchmark.suite --out "$out" "$@"
