"""Meshes to images: Blender in its own process, a z-buffer as its fast twin, and Embree to check either."""
