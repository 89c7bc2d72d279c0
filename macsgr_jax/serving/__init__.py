"""A server of predictions: a local page to drop conversations on, and a small JSON API."""
