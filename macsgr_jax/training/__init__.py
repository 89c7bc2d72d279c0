"""Training: a step, an epoch, and many runs as one vmapped, sharded program."""
