"""Quality gates: what was measured of a frame or a capture, against the limits of the settings."""
