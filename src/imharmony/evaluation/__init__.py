"""Metrics, protocols and baselines that need no training."""
