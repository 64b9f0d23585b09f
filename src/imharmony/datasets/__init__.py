"""Data sets that evaluation and training both read."""
