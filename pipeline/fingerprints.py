"""Names for content: a hash of a JSON value, and a cached hash of raw files."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.checksums import describe_file


def fingerprint(value: Any) -> str:
    """Sixteen hex digits of a JSON value's sha256; equal values, equal digits, whatever the key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class FileHashes:
    """sha256 of files, remembered by path, size, time and inode in one small database.

    Args:
        path: the database, made when missing; where its folder is missing, nothing is remembered.
        trust: False ignores what is remembered (`plan --rehash`), and refreshes it.
    """

    def __init__(self, path: Path, *, trust: bool = True) -> None:
        self._trust = trust
        try:
            self._database = _opened(path)
        except sqlite3.OperationalError:
            self._database = _opened(":memory:")  # nowhere to remember: every file is read again
        except sqlite3.DatabaseError:
            path.unlink()  # it holds nothing that the files do not say
            self._database = _opened(path)

    def digest(self, files: Iterable[Path], *, root: Path) -> str:
        """One hash over names (relative to `root`) and contents; a missing file counts as missing."""
        known = dict[str, tuple[str, str]]()
        if self._trust:
            # "0" follows "/": all paths below the root, found through the key's own order.
            query = "SELECT path, stamp, sha256 FROM hashes WHERE path >= ? AND path < ?"
            rows = self._database.execute(query, (f"{root}/", f"{root}0"))
            known = {path: (stamp, sha256) for path, stamp, sha256 in rows}
        total = hashlib.sha256()
        fresh = []
        for file in files:
            sha256 = "missing"
            if file.is_file():
                stat = file.stat()
                stamp = f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ino}"
                remembered = known.get(str(file))
                if remembered and remembered[0] == stamp:
                    sha256 = remembered[1]
                else:
                    sha256 = describe_file(file, sync=False)["sha256"]
                    fresh.append((str(file), stamp, sha256))
            total.update(f"{file.relative_to(root)}\0{sha256}\n".encode())
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?)", fresh)
        return total.hexdigest()[:16]

    def close(self) -> None:
        self._database.close()


def _opened(path: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=60)
    database.execute("CREATE TABLE IF NOT EXISTS hashes (path TEXT PRIMARY KEY, stamp TEXT, sha256 TEXT)")
    return database
