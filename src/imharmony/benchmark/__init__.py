"""Measure the time and memory of harmonizing, for `imharmony benchmark`."""
