"""Photographs with masks, and the training pairs made from them."""
