"""Messages of a ROS bag, read forward through the library `rosbags`: the one module that knows it.

The library answers damaged bytes with whatever error they lead to; here all of them become ValueError with one
clause. Memory holds one message of a topic, and the chunk that it lies in.
"""

import errno
import struct
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StageError

Int64 = NDArray[np.int64]

# Beyond so many messages ahead it is quicker to find the place anew than to read through.
MAX_SKIPPED = 30
LATEST_NS = 2**62  # the year 2116, and differences still fit into 64 bits
# Errors that come and go with disks and networks: they say nothing of the bag.
PASSING_ERRORS = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOSPC, errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Bag:
    """An open bag: the library's reader, and ROS's own message definitions.

    Attributes:
        types: topic to the types of its messages, all of one in a sound bag.
    """

    reader: Any
    definitions: Any
    is_ros1: bool
    types: dict[str, set[str]]

    def messages(
        self, topics: Collection[str], *, start_ns: int | None = None
    ) -> Iterator[tuple[str, int, bytes]]:
        """Topic, time of recording in ns and raw message, as recorded, from `start_ns` on."""
        connections = [found for found in self.reader.connections if found.topic in topics]
        with library_errors():
            for connection, recorded_ns, raw in self.reader.messages(connections, start=start_ns):
                # a column of an SQLite file may hold anything
                if type(recorded_ns) is not int or not 0 <= recorded_ns < LATEST_NS or type(raw) is not bytes:
                    raise ValueError(
                        f"a message on {connection.topic} was recorded at {recorded_ns!r:.40} ns"
                    )
                yield connection.topic, recorded_ns, raw

    def decode(self, raw: bytes, topic: str) -> Any:
        """A raw message with ROS's own field names."""
        (kind,) = self.types[topic]
        with library_errors():
            if self.is_ros1:
                return self.definitions.deserialize_ros1(raw, kind)
            return self.definitions.deserialize_cdr(raw, kind)

    def stamp_ns(self, raw: bytes) -> int:
        """The stamp of a raw message that starts with a std_msgs/Header."""
        with library_errors():
            # ROS 1: a sequence number, then the stamp; ROS 2: four bytes that tell the byte order
            order = "<" if self.is_ros1 or raw[1] else ">"
            seconds, nanoseconds = struct.unpack_from(f"{order}{'I' if self.is_ros1 else 'i'}I", raw, 4)
        return int(seconds) * 10**9 + int(nanoseconds)


@dataclass(kw_only=True, eq=False)
class TopicMessages:
    """The messages of one topic by rank; reading them in order goes through the bag once in each thread.

    Attributes:
        recorded_ns, stamp_ns: (N) when each was recorded, and what its header says.
        latest_ns: (N) ascending, the latest time of recording so far.
    """

    path: Path
    topic: str
    recorded_ns: Int64
    stamp_ns: Int64
    latest_ns: Int64 = field(init=False)
    _cursor: "_Cursor" = field(default_factory=lambda: _Cursor(), repr=False)

    def __post_init__(self) -> None:
        self.latest_ns = np.maximum.accumulate(self.recorded_ns)

    def message(self, index: int) -> Any:
        """Decode one message.

        Raises:
            ValueError: if the bag is damaged there, or is another one than was opened.
        """
        try:
            bag = self._cursor.bag = self._cursor.bag or open_bag(self.path)
            raw = self._fetched(bag, index)
            if bag.stamp_ns(raw) != self.stamp_ns[index]:
                raise ValueError("the bag has changed since it was opened")
            return bag.decode(raw, self.topic)
        except ValueError:
            self._cursor.bag = self._cursor.ahead = (
                None  # the library's reader is in no known state after an error
            )
            raise

    def near(self, latest_ns: int, *, within_ns: int) -> slice:
        """Which messages were recorded within so many ns of a time, as `latest_ns` counts it on both sides."""
        first, end = np.searchsorted(self.latest_ns, [latest_ns - within_ns, latest_ns + within_ns + 1])
        return slice(int(first), int(end))

    def _fetched(self, bag: Bag, index: int) -> bytes:
        cursor = self._cursor
        if cursor.ahead is None or not cursor.at <= index <= cursor.at + MAX_SKIPPED:
            start_ns = int(self.recorded_ns[index])
            cursor.ahead = bag.messages([self.topic], start_ns=start_ns)
            cursor.at = index - 1 - int(np.count_nonzero(self.recorded_ns[:index] >= start_ns))
        while cursor.at < index:
            found = next(cursor.ahead, None)
            if found is None:
                raise ValueError("the bag ends before this message")
            cursor.at, cursor.raw = cursor.at + 1, found[2]
        return cursor.raw


class _Cursor(threading.local):
    """Where one thread is in the bag: the library's readers must stay in the thread that opened them."""

    bag: Bag | None = None
    ahead: Iterator[tuple[str, int, bytes]] | None = None
    at: int = -1
    raw: bytes = b""


def open_bag(path: Path) -> Bag:
    """Open a bag by the library: `.bag` is ROS 1, everything else ROS 2.

    Raises:
        ValueError: if it is no sound bag.
        StageError: if the library is not installed.
    """
    try:
        from rosbags.rosbag1 import Reader as Ros1Reader
        from rosbags.rosbag2 import Reader as Ros2Reader
    except ImportError:
        raise StageError(
            f"{path}: format rosbag needs the package rosbags, which is not installed. "
            "pip install 'bodytruth[formats]'."
        ) from None
    is_ros1 = path.suffix == ".bag"
    with library_errors():
        reader = (Ros1Reader if is_ros1 else Ros2Reader)(path)
        reader.open()
        types: dict[str, set[str]] = {}
        for connection in reader.connections:
            if not isinstance(connection.topic, str) or not isinstance(connection.msgtype, str):
                raise ValueError("a topic has no name or no type")
            types.setdefault(connection.topic, set()).add(connection.msgtype)
    return Bag(reader=reader, definitions=_definitions(is_ros1), is_ros1=is_ros1, types=types)


@cache
def _definitions(is_ros1: bool) -> Any:
    """ROS's own definitions, with the decoders that the library writes from them: once for all bags."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)


@contextmanager
def library_errors() -> Iterator[None]:
    """Give ValueError for whatever damaged bytes make the library raise, asserts and index errors among them."""
    try:
        yield
    except OSError as error:
        if error.errno in PASSING_ERRORS:
            raise
        raise ValueError(_clause(error)) from error
    except Exception as error:
        raise ValueError(_clause(error)) from error


def _clause(error: Exception) -> str:
    text = " ".join(str(error).split())[:160].rstrip(".")
    return f"{text} ({type(error).__name__})" if text else type(error).__name__
