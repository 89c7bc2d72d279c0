"""Runs `macsgr` as `python -m macsgr_jax`."""

import sys

from macsgr_jax.cli.main import main

sys.exit(main())
