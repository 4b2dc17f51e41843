"""Compiled decoder of LZF, the compression of binary PCD files; import only through `pcd_format`."""

from typing import Any

from numba import njit


@njit(cache=True)
def decode_lzf(packed: Any, out: Any) -> Any:
    """Undo LZF (M. Lehmann's liblzf: literal runs and back references) into `out`, both uint8.

    Returns:
        How many bytes were written; -1 where the stream reaches outside `packed` or `out`.
    """
    at = written = 0
    while at < packed.size:
        control = int(packed[at])
        at += 1
        if control < 32:  # a run of literals
            length = control + 1
            if at + length > packed.size or written + length > out.size:
                return -1
            for _ in range(length):
                out[written] = packed[at]
                at, written = at + 1, written + 1
            continue
        length = control >> 5
        if at + (2 if length == 7 else 1) > packed.size:
            return -1
        if length == 7:  # a long match carries the rest of its length
            length += int(packed[at])
            at += 1
        source = written - ((control & 31) << 8) - int(packed[at]) - 1
        at += 1
        length += 2
        if source < 0 or written + length > out.size:
            return -1
        for _ in range(length):  # byte by byte: a match may overlap what it writes
            out[written] = out[source]
            source, written = source + 1, written + 1
    return written
