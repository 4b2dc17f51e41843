"""Voxels: solid bodies on the image's grid, the files' bits, and the surface back."""
