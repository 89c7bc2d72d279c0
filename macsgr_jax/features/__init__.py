"""Feature extraction: from texts and recordings to the arrays of a corpus."""
