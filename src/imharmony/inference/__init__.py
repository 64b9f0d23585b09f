"""From a photo and its mask to what a network says about them."""
