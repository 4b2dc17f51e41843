"""The checks of `bodytruth doctor`; none of its modules loads a library that may be what is missing."""
