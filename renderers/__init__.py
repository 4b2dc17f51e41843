"""Meshes to images: Blender in its own process, and Embree as its fast twin and cross-check."""
