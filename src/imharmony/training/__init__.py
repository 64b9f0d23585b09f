"""Training: networks, data, losses, export. The only place that imports torch."""
