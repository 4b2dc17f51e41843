"""The published networks, one file each, out of shared blocks; importing this package loads nothing."""
