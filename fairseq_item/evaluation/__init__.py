"""Scores, baselines, and what each similarity contributes."""
