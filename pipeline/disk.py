"""The file below HDF5, which remembers the first write that failed."""

import io
from typing import Any


class Disk(io.FileIO):
    """The file below HDF5, which never learns of a failed write: it would complain again at every close.

    After the first failure nothing more is written, and `check` raises it.
    """

    _error: OSError | None = None

    def write(self, data: Any) -> int:
        """Take all bytes; keep what went wrong for `check`."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self._error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            if self._error is None:
                super().truncate(size)
        except OSError as error:
            self._error = error
        return size or 0

    def check(self) -> None:
        """Raise the first failure, with the file's name."""
        if self._error is not None:
            raise OSError(self._error.errno, self._error.strerror, str(self.name)) from self._error
