"""Predictions of trained networks: for whole conversations, line by line, and as an exported program."""
