"""Databases that hold fused vectors: one module each, behind an extra of its name."""
