"""Training runs on disk: trained, resumed, evaluated, described and loaded again."""
