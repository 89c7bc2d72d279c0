"""Trains many settings and seeds at once: `macsgr sweep` for a checkout."""

import sys

from macsgr_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["sweep", *sys.argv[1:]]))
