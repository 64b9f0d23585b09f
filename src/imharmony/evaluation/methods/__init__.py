"""What is compared: networks, baselines, pictures of other programs."""
