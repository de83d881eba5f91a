"""Approximate search: candidates by their embeddings and by their words, scored exactly."""
