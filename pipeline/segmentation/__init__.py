"""A person's pixels from depth alone: the room's planes and background, then what stands in front of them."""
