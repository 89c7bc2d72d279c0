"""Trains and evaluates the network on a corpus: `macsgr train` for a checkout."""

import sys

from macsgr_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
