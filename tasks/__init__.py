"""Luigi: what depends on what, where it lies, whether it is done; and the command line."""
