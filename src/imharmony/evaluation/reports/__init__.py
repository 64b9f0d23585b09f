"""Scores, their statistics, tables and reports."""
