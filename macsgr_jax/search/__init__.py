"""Sweeps over settings and seeds: their points, their training, their results."""
