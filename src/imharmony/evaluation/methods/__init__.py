"""The methods that are compared: networks, baselines, pictures of other programs."""
