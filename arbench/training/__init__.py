"""From data to weights: recipes, batches, the trainer, checkpoints."""
