"""Features from raw material: from what was said and how it sounded to the arrays of a corpus."""
