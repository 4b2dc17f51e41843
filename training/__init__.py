"""PyTorch on shards: needs numpy, h5py and torch alone."""
