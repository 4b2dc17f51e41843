"""Matroska files: what a recording holds, and where each of its blocks lies; no payload is read.

RFC 8794 (EBML: an element is an id, the length of its data, its data) and RFC 9559 (Matroska). Segments,
clusters and block groups are walked through in place, whether their length is known or not.
"""

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Int64 = NDArray[np.int64]

EBML, SEGMENT, CLUSTER, BLOCK_GROUP = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xA0
CLUSTER_TICKS, BLOCK, SIMPLE_BLOCK = 0xE7, 0xA1, 0xA3
INFO, TICK_NS = 0x1549A966, 0x2AD7B1
TRACKS, TRACK = 0x1654AE6B, 0xAE
NUMBER, UID, NAME, CODEC, PRIVATE, VIDEO, WIDTH, HEIGHT = (
    0xD7, 0x73C5, 0x536E, 0x86, 0x63A2, 0xE0, 0xB0, 0xBA
)  # fmt: skip
ATTACHMENTS, ATTACHED, FILE_NAME, FILE_DATA = 0x1941A469, 0x61A7, 0x466E, 0x465C
TAGS, TAG, SIMPLE_TAG, TAG_NAME, TAG_STRING = 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487

HEAD_BYTES = 12  # of an element at most: 4 of id, 8 of length
MAX_VALUE_BYTES = 65536  # of a name, a tag or a codec's own data
LACED = 0x06  # bits of a block's flags


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One stream; `private` is the codec's own header, sizes are 0 where it is no video."""

    number: int
    uid: int
    name: str
    codec: str
    private: bytes
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Blocks:
    """The frames of one track, in the file's order.

    Attributes:
        times_ns: (N) from the start of the recording.
        offsets, sizes: (N) of each frame's bytes in the file; the last may reach beyond a cut-off file's end.
    """

    times_ns: Int64
    offsets: Int64
    sizes: Int64


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Matroska:
    """What a file holds.

    Attributes:
        attachments: name to (offset, size) in the file.
        tags: name to text, the first of each name.
        blocks: of each track, by its number.
        is_cut_off: whether the file ends inside an element.
    """

    tracks: tuple[Track, ...]
    attachments: dict[str, tuple[int, int]]
    tags: dict[str, str]
    blocks: dict[int, Blocks]
    is_cut_off: bool


class _Element(NamedTuple):
    id: int
    at: int
    start: int
    size: int | None  # of its data; None where the writer did not know


@dataclass(slots=True)
class _Scan:
    """What was found so far; `blocks` holds ticks, offset and size of each block, by track number."""

    path: Path
    file: BinaryIO
    file_bytes: int
    tick_ns: int = 1_000_000
    tracks: list[Track] = field(default_factory=list)
    attachments: dict[str, tuple[int, int]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blocks: dict[int, "array[int]"] = field(default_factory=dict)

    def bytes(self, at: int, size: int) -> bytes:
        self.file.seek(at)
        return self.file.read(size)

    def malformed(self, at: int, finding: str) -> InputError:
        return InputError(
            "recording-malformed",
            f"{self.path}: the recording must be a whole Matroska file, but {finding} at byte {at}. "
            "Copy it again from the source.",
        )


def read_matroska(path: Path) -> Matroska:
    """Walk over a file's elements. Of a file that is cut off, what lies before the cut is given.

    Raises:
        InputError: capture-missing, or recording-malformed for anything but whole elements up to the file's
            end, and for blocks that pack several frames.
    """
    try:
        with path.open("rb", buffering=0) as file:
            scan = _Scan(path, file, path.stat().st_size)
            is_cut_off = _walk(scan)
            blocks = {number: _blocks(scan, number) for number in scan.blocks}
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InputError(
            "capture-missing",
            f"{path}: the capture must be a readable file, is not ({error.strerror}). Correct its path.",
        ) from None
    return Matroska(
        tracks=tuple(scan.tracks),
        attachments=scan.attachments,
        tags=scan.tags,
        blocks=blocks,
        is_cut_off=is_cut_off,
    )


def _walk(scan: _Scan) -> bool:
    """Read the elements in their order; returns whether the file's end cuts one off."""
    at, cluster_end, base = 0, 0, None
    promised = 0  # how far the file must reach, as far as its largest elements say
    if scan.bytes(0, 4) != EBML.to_bytes(4, "big"):
        raise scan.malformed(0, "it starts with no EBML header")
    while at < scan.file_bytes:
        element = _element(scan, at)
        if element is None:
            return True
        if at >= cluster_end:
            base = None
        if element.id in (SEGMENT, CLUSTER, BLOCK_GROUP):
            promised = max(promised, element.start + (element.size or 0))
            if element.id == CLUSTER:
                base = None
                cluster_end = scan.file_bytes if element.size is None else element.start + element.size
            at = element.start
            continue
        if element.size is None:
            raise scan.malformed(at, f"the element {element.id:#x} has no length")
        end = element.start + element.size
        if at < cluster_end < end:
            raise scan.malformed(at, f"the element {element.id:#x} is longer than its cluster")
        if element.id in (BLOCK, SIMPLE_BLOCK):
            _add_block(scan, element, base)
        if end > scan.file_bytes:
            return True
        if element.id == CLUSTER_TICKS:
            base = _number(scan, element)
        _read_header(scan, element)
        at = end
    return promised > scan.file_bytes


def _read_header(scan: _Scan, element: _Element) -> None:
    if element.id == INFO:
        for child in _children(scan, element):
            if child.id == TICK_NS:
                scan.tick_ns = _number(scan, child)
    elif element.id == TRACKS:
        scan.tracks += [_track(scan, child) for child in _children(scan, element) if child.id == TRACK]
        scan.blocks = {track.number: array("q") for track in scan.tracks}
    elif element.id == ATTACHMENTS:
        for child in _children(scan, element):
            _add_attachment(scan, child)
    elif element.id == TAGS:
        for tag in _children(scan, element):
            for child in _children(scan, tag) if tag.id == TAG else ():
                _add_tag(scan, child)


def _element(scan: _Scan, at: int) -> _Element | None:
    """The element whose head lies at a byte; None where the file ends inside its head."""
    head = scan.bytes(at, HEAD_BYTES)
    id_bytes = 9 - head[0].bit_length()
    if id_bytes > 4:
        raise scan.malformed(at, "there is no element")
    if len(head) <= id_bytes:
        return None
    size_bytes = 9 - head[id_bytes].bit_length()
    if size_bytes > 8:
        raise scan.malformed(at, "there is no element")
    start = id_bytes + size_bytes
    if len(head) < start:
        return None
    return _Element(
        id=int.from_bytes(head[:id_bytes], "big"),
        at=at,
        start=at + start,
        size=_unmarked(head[id_bytes:start]),
    )


def _unmarked(vint: bytes) -> int | None:
    """The number behind the length marker of a whole EBML integer; None for all ones, which means unknown."""
    ones = (1 << 7 * len(vint)) - 1
    value = int.from_bytes(vint, "big") & ones
    return None if value == ones else value


def _children(scan: _Scan, parent: _Element) -> Iterator[_Element]:
    at, end = parent.start, parent.start + (parent.size or 0)
    while at < end:
        child = _element(scan, at)
        if child is None or child.size is None or child.start + child.size > end:
            raise scan.malformed(at, f"an element reaches beyond the element {parent.id:#x} that holds it")
        yield child
        at = child.start + child.size


def _value(scan: _Scan, element: _Element) -> bytes:
    size = element.size or 0
    if size > MAX_VALUE_BYTES:
        raise scan.malformed(element.at, f"the element {element.id:#x} has {size} bytes")
    return scan.bytes(element.start, size)


def _number(scan: _Scan, element: _Element) -> int:
    value = _value(scan, element)
    if len(value) > 8:
        raise scan.malformed(element.at, f"the element {element.id:#x} is a number of {len(value)} bytes")
    return int.from_bytes(value, "big")


def _text(scan: _Scan, element: _Element) -> str:
    return _value(scan, element).rstrip(b"\0").decode("utf-8", errors="replace")


def _track(scan: _Scan, entry: _Element) -> Track:
    fields = {child.id: child for child in _children(scan, entry)}
    fields |= {child.id: child for child in _children(scan, fields[VIDEO])} if VIDEO in fields else {}
    number, uid, width, height = (
        _number(scan, fields[id]) if id in fields else 0 for id in (NUMBER, UID, WIDTH, HEIGHT)
    )
    name, codec = (_text(scan, fields[id]) if id in fields else "" for id in (NAME, CODEC))
    private = _value(scan, fields[PRIVATE]) if PRIVATE in fields else b""
    return Track(number=number, uid=uid, name=name, codec=codec, private=private, width=width, height=height)


def _add_attachment(scan: _Scan, attached: _Element) -> None:
    fields = {child.id: child for child in _children(scan, attached)} if attached.id == ATTACHED else {}
    if FILE_NAME in fields and FILE_DATA in fields:
        data = fields[FILE_DATA]
        scan.attachments[_text(scan, fields[FILE_NAME])] = (data.start, data.size or 0)


def _add_tag(scan: _Scan, simple: _Element) -> None:
    fields = {child.id: child for child in _children(scan, simple)} if simple.id == SIMPLE_TAG else {}
    if TAG_NAME in fields and TAG_STRING in fields:
        scan.tags.setdefault(_text(scan, fields[TAG_NAME]), _text(scan, fields[TAG_STRING]))


def _add_block(scan: _Scan, block: _Element, base: int | None) -> None:
    """Index one block: track number, time after the cluster's (16 bit, signed), flags, then the frame."""
    head = scan.bytes(block.start, min(block.size or 0, 11))
    number_bytes = 9 - head[0].bit_length() if head else 9
    start = number_bytes + 3
    if len(head) < start:
        if block.start + (block.size or 0) > scan.file_bytes:
            return  # cut off inside its own header: not even its track is known
        raise scan.malformed(block.at, f"a block has {block.size} bytes")
    if base is None:
        raise scan.malformed(block.at, "a block has no cluster with a time")
    after, flags = struct.unpack_from(">hB", head, number_bytes)
    if flags & LACED:
        raise scan.malformed(block.at, "a block packs several frames (lacing), which is not read,")
    number, ticks = _unmarked(head[:number_bytes]), base + after
    if number not in scan.blocks or abs(ticks) >= 2**62:
        raise scan.malformed(block.at, f"a block is of track {number}, at {ticks} ticks")
    scan.blocks[number].extend((ticks, block.start + start, (block.size or 0) - start))


def _blocks(scan: _Scan, number: int) -> Blocks:
    ticks, offsets, sizes = np.array(scan.blocks[number], dtype=np.int64).reshape(-1, 3).T
    longest_ns = int(np.abs(ticks).max(initial=0)) * scan.tick_ns
    if scan.tick_ns == 0 or longest_ns >= 2**63:
        raise scan.malformed(0, f"track {number} lasts {longest_ns} ns in ticks of {scan.tick_ns} ns")
    return Blocks(times_ns=ticks * scan.tick_ns, offsets=offsets, sizes=sizes)
