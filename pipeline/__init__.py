"""What ground truth is: arrays in, arrays out, and the files they live in."""
