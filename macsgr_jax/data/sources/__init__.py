"""Releases of corpora, and files that the field hands around: a module each, from a path to a Corpus."""
