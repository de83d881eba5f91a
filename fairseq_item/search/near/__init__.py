"""Near duplicates without comparing all pairs: by lists of near items and by rare words."""
