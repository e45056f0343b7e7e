"""The bytes: atomic writes, documents, archives, arrays, tensors; knows nothing of models."""
