"""Curves to files and back, and to pictures of a plot. A public part of the package."""

from imharmony.curve_files.files import (
    SUFFIXES,
    choose_kind,
    encode,
    read_bytes,
    read_curves,
    read_record,
    warn_of_cost,
    write_curves,
    write_record,
)
from imharmony.curve_files.plots import plot_curves
from imharmony.curve_files.record import Record

__all__ = [
    "SUFFIXES",
    "Record",
    "choose_kind",
    "encode",
    "plot_curves",
    "read_bytes",
    "read_curves",
    "read_record",
    "warn_of_cost",
    "write_curves",
    "write_record",
]
