"""Sweeps over settings and seeds: points, training, results and figures."""
