"""Conversations as arrays: corpora, standardisation, rows of slots. NumPy only."""
