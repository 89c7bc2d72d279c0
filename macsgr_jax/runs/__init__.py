"""Runs on disk: training, resuming, evaluation, results, predictions and exports."""
