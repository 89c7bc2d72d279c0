#!/usr/bin/env bash
# Measures this machine's accelerator in under 9 minutes and prints a table: 10 seeds x 150 epochs, runs at once, bfloat16,
# rows, custom and plain forms, streams, dialogue lengths, the paper's grid, peak memory.
#   experiments/benchmark/accelerator_suite.sh OUT.json           on a GPU or TPU
#   experiments/benchmark/accelerator_suite.sh OUT.json --small   on any machine, to check in two minutes that everything runs
set -euo pipefail
out=$(realpath -m "${1:?where to write the JSON}")
shift
cd "$(dirname "$0")/../.."
# Without preallocation the memory that the programs use is measured, and not what is reserved for them.
export XLA_PYTHON_CLIENT_PREALLOCATE=${XLA_PYTHON_CLIENT_PREALLOCATE:-false}
exec "${PYTHON:-python}" -m experiments.benchmark.accelerator_suite --out "$out" "$@"
