"""How pictures are compared: protocols by name, resampling, metrics."""
