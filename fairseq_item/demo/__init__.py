"""Draws the demo catalogue: products, their look, scenes and titles."""
