"""Trained models for other tools: safetensors, ONNX and sentence-transformers."""
