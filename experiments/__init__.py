"""Scripts that a person runs: `python -m experiments.NAME --help`."""
