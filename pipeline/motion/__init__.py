"""How the surface of a body moves between two frames, as training by photo-consistency needs it."""
