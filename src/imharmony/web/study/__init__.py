"""The page of a blind study; `imharmony.evaluation.study` holds the rest."""
