"""Dense correspondences: picture points to places on a body's surface, how far apart places are, and scores."""
