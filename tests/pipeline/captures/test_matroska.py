"""Elements are found where they lie, payloads are never read, and damage is said."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from pipeline.captures.matroska import read_matroska
from pipeline.errors import InputError


def element(id: int, data: bytes, *, size_bytes: int = 4, unknown: bool = False) -> bytes:
    """An EBML element; a length of all ones is one that the writer did not know."""
    ones = (1 << 7 * size_bytes) - 1
    length = (1 << 7 * size_bytes) | (ones if unknown else len(data))
    return id.to_bytes((id.bit_length() + 7) // 8, "big") + length.to_bytes(size_bytes, "big") + data


def number(id: int, value: int) -> bytes:
    return element(id, value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big"), size_bytes=1)


def block(track: int, after: int, payload: bytes, *, group: bool = False, flags: int = 0x80) -> bytes:
    data = bytes([0x80 | track]) + struct.pack(">hB", after, flags) + payload
    return element(0xA0, element(0xA1, data) + number(0x9B, 33)) if group else element(0xA3, data)


HEADER = element(0x1A45DFA3, element(0x4282, b"matroska"), size_bytes=1)
INFO = element(0x1549A966, number(0x2AD7B1, 1000))  # a tick is a microsecond
TRACKS = element(
    0x1654AE6B,
    element(0xAE, number(0xD7, 1) + number(0x73C5, 77) + element(0x86, b"X") + element(0x536E, b"A\0"))
    + element(0xAE, number(0xD7, 2) + element(0xE0, number(0xB0, 1280) + number(0xBA, 720))),
)
VOID = element(0xEC, bytes(50), size_bytes=8)


def cluster(ticks: int, *blocks: bytes, unknown: bool = False) -> bytes:
    return element(0x1F43B675, number(0xE7, ticks) + b"".join(blocks), unknown=unknown)


def matroska(*clusters: bytes, unknown: bool = False, tail: bytes = b"") -> bytes:
    inside = INFO + VOID + TRACKS + b"".join(clusters) + tail
    return HEADER + element(0x18538067, inside, size_bytes=8, unknown=unknown)


@pytest.fixture
def write(tmp_path: Path):
    def write(data: bytes) -> Path:
        path = tmp_path / "a.mkv"
        path.write_bytes(data)
        return path

    return write


TWO_CLUSTERS = (
    cluster(1000, block(1, 0, b"one"), block(2, -5, b"second")),
    cluster(90_000, VOID, block(1, 32_767, b"x" * 300, group=True)),
)


@pytest.mark.parametrize("unknown", [False, True])
def test_every_block_is_found_with_its_time_and_place(write, unknown) -> None:
    clusters = [
        cluster(1000, block(1, 0, b"one"), block(2, -5, b"second"), unknown=unknown),
        cluster(90_000, VOID, block(1, 32_767, b"x" * 300, group=True), unknown=unknown),
    ]
    data = matroska(*clusters, unknown=unknown, tail=element(0x1C53BB6B, bytes(9)))
    found = read_matroska(write(data))
    first, second = found.blocks[1], found.blocks[2]
    assert first.times_ns.tolist() == [1_000_000, 122_767_000] and second.times_ns.tolist() == [995_000]
    spans = [data[o : o + n] for o, n in zip(first.offsets, first.sizes, strict=True)]
    assert spans == [b"one", b"x" * 300]
    assert data[second.offsets[0] :][: second.sizes[0]] == b"second"
    assert [(t.number, t.uid, t.name, t.codec) for t in found.tracks] == [(1, 77, "A", "X"), (2, 0, "", "")]
    assert (found.tracks[1].width, found.tracks[1].height) == (1280, 720)


def test_tags_and_attachments_are_found(write) -> None:
    attached = element(0x61A7, element(0x466E, b"c.json") + element(0x465C, b"{}"))
    tags = [
        element(0x7373, element(0x63C0, b"") + element(0x67C8, element(0x45A3, name) + element(0x4487, text)))
        for name, text in ((b"K", b"first"), (b"K", b"second"), (b"L", "ü".encode()))
    ]
    data = matroska(tail=element(0x1941A469, attached) + element(0x1254C367, b"".join(tags)))
    found = read_matroska(write(data))
    offset, size = found.attachments["c.json"]
    assert data[offset : offset + size] == b"{}"
    assert found.tags == {"K": "first", "L": "ü"}
    assert found.blocks[1].times_ns.shape == (0,)


@pytest.mark.parametrize("unknown", [False, True])
def test_a_cut_off_file_gives_what_lies_before_the_cut(write, unknown) -> None:
    data = matroska(*TWO_CLUSTERS, unknown=unknown)
    whole = read_matroska(write(data)).blocks[1]
    starts = whole.offsets.tolist()
    header_bytes = len(matroska())
    for cut in range(header_bytes, len(data)):
        found = read_matroska(write(data[:cut]))
        expected = [k for k, start in enumerate(starts) if cut >= start]
        assert found.blocks[1].offsets.tolist() == [starts[k] for k in expected]
        assert found.blocks[1].sizes.tolist() == [whole.sizes[k] for k in expected]
        # Where sizes are unknown, a file that ends between two elements looks whole.
        assert found.is_cut_off or unknown


def test_payloads_are_not_read(write, monkeypatch) -> None:
    path = write(matroska(*[cluster(k, block(1, 0, bytes(100_000))) for k in range(20)]))
    read_bytes = 0
    actual = io.FileIO.read

    class Counted(io.FileIO):
        def read(self, size: int = -1) -> bytes:
            nonlocal read_bytes
            got = actual(self, size)
            read_bytes += len(got)
            return got

    monkeypatch.setattr(Path, "open", lambda self, *args, **kwargs: Counted(str(self)))
    assert len(read_matroska(path).blocks[1].times_ns) == 20
    assert 0 < read_bytes < 5000  # of 2 MB


@pytest.mark.parametrize(
    ("data", "finding"),
    [
        (b"", "no EBML header"),
        (b"\x1a\x45", "no EBML header"),
        (b"RIFF" * 20, "no EBML header"),
        (matroska(cluster(1, block(1, 0, b"a", flags=0x02))), "lacing"),
        (matroska(cluster(1, block(1, 0, b"a", flags=0x86))), "lacing"),
        (matroska(cluster(1, block(9, 0, b"a"))), "track 9"),
        (matroska(cluster(1, element(0xA3, b"\x81\0"))), "2 bytes"),
        (matroska(cluster(1, element(0xA3, b""))), "0 bytes"),
        (matroska(element(0x1F43B675, block(1, 0, b"a"))), "no cluster with a time"),
        (matroska(block(1, 0, b"a")), "no cluster with a time"),
        (matroska(cluster(1, block(1, 0, b"a")), block(1, 0, b"a")), "no cluster with a time"),
        (matroska(cluster(2**63, block(1, 0, b"a"))), "ticks"),
        (matroska(cluster(2**61, block(1, 0, b"a"))), "lasts"),
        (matroska(bytes(64)), "no element"),
        (matroska(element(0x1654AE6B, b"", unknown=True), VOID), "no length"),
        (matroska(element(0x1F43B675, number(0xE7, 1) + b"\xa3\x90", size_bytes=1), VOID * 9), "its cluster"),
        (matroska(element(0x1549A966, element(0x2AD7B1, bytes(9)))), "a number of 9 bytes"),
        (matroska(element(0x1654AE6B, b"\xae\x85\xd7\x81\x01")), "reaches beyond"),
        (matroska(element(0x1654AE6B, element(0xAE, element(0x536E, bytes(70_000))))), "70000 bytes"),
    ],
)
def test_what_is_no_whole_file_is_refused(write, data, finding) -> None:
    with pytest.raises(InputError, match=finding) as error:
        read_matroska(write(data))
    assert error.value.reason == "recording-malformed"


def test_a_file_that_is_not_there_is_said(tmp_path) -> None:
    for path in (tmp_path / "none.mkv", tmp_path):
        with pytest.raises(InputError, match="readable file") as error:
            read_matroska(path)
        assert error.value.reason == "capture-missing"


def test_mutated_files_give_blocks_inside_the_file_or_a_refusal(write) -> None:
    rng = np.random.default_rng(3)
    data = matroska(*TWO_CLUSTERS)
    refused = 0
    for _ in range(400):
        mutated = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            mutated[rng.integers(len(data))] = rng.integers(256)
        try:
            found = read_matroska(write(bytes(mutated)))
        except InputError:
            refused += 1
            continue
        for blocks in found.blocks.values():
            assert (blocks.sizes >= 0).all() and (blocks.offsets <= len(data)).all()
    assert 50 < refused < 350
