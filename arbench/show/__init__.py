"""What people look at: samples, pictures, heatmaps, numbers with their errors, progress."""
