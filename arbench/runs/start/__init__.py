"""What a run starts from: a recipe, the weights of another run, and a size that fits."""
