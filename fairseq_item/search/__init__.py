"""From products to embeddings to answers: embedding, indexing and fused search."""
