"""Conversations as arrays: corpora, standardisation, rows of slots. Needs NumPy only."""
