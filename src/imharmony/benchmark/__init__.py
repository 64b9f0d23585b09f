"""How long harmonizing takes and how much memory; `imharmony benchmark`."""
