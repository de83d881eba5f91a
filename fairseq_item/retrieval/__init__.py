"""From embeddings to answers: indexing, fused search, scores and the gallery.

Nothing here trains; only ``item-embed`` and a search by title or picture load a model.
"""
