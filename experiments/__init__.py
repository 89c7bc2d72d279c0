"""Scripts that reproduce the paper: `python -m experiments.NAME --help`."""
