"""From a photo and its mask to a network's prediction."""
