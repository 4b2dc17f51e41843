"""Functions of the lz4 library that HDF5 encodes and decodes with, called without holding the interpreter."""

import ctypes
import os
from collections.abc import Callable
from functools import cache

Arguments = tuple[type[ctypes.c_void_p] | type[ctypes.c_int], ...]
COPYING: Arguments = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
SIZING: Arguments = (ctypes.c_int,)


@cache
def lz4_function(name: str, arguments: Arguments) -> Callable[..., int] | None:
    """One function by its name in C, which returns a size; None where hdf5plugin's library is not to be had."""
    try:
        import hdf5plugin

        library = ctypes.CDLL(os.path.join(hdf5plugin.PLUGINS_PATH, "libh5lz4.so"))
        function = getattr(library, name)
    except (ImportError, OSError, AttributeError):
        return None
    function.argtypes, function.restype = list(arguments), ctypes.c_int
    found: Callable[..., int] = function
    return found
