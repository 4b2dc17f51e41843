"""Simulated captures: a clothed, wrinkled body of known geometry seen by a virtual depth camera."""
