"""Catalogues, images, titles and the stores that training reads; nothing here knows a model."""
