"""SMPL-like files without SMPL: a body of 24 joints, pickled as python 2 and chumpy did it, and hostile files."""

import io
import pickle  # noqa: TID251  this is what makes the files that the reader must read or refuse
import struct
import types
from pathlib import Path

import numpy as np

RINGS, SIDES = 13, 12
RADII_M = np.array([0.3, 0.85, 0.15])
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
# Rough places of the joints that tell the frame, as shares of the radii; the others lie anywhere inside.
PLACES = {1: (0.3, 0, 0), 2: (-0.3, 0, 0), 7: (0.2, -0.8, 0), 8: (-0.2, -0.8, 0), 15: (0, 0.8, 0)}


def ellipsoid() -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V 3) and outward faces (F 3) of a closed surface as tall as a person."""
    polar = np.linspace(0, np.pi, RINGS + 2)[1:-1, None]
    around = np.arange(SIDES) * 2 * np.pi / SIDES
    ring = np.stack(
        [np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around, np.sin(polar) * np.cos(around)], -1
    )
    points = np.concatenate([[[0, 1, 0]], ring.reshape(-1, 3), [[0, -1, 0]]])
    faces = []
    for side in range(SIDES):
        after = (side + 1) % SIDES
        faces += [
            (0, 1 + side, 1 + after),
            (len(points) - 1, *(len(points) - 1 - SIDES + s for s in (after, side))),
        ]
        for ring_start in range(1, 1 + (RINGS - 1) * SIDES, SIDES):
            a, b = ring_start + side, ring_start + after
            faces += [(a, a + SIDES, b + SIDES), (a, b + SIDES, b)]
    return points * RADII_M, np.array(faces)


def smpl_arrays(betas: int = 10, seed: int = 5) -> dict[str, np.ndarray]:
    """The arrays of an SMPL file, with the types that SMPL's own have."""
    rng = np.random.default_rng(seed)
    template, faces = ellipsoid()
    count = len(template)
    regressor, weights = np.zeros((24, count)), np.zeros((count, 24))
    for joint in range(24):
        place = np.array(PLACES.get(joint, rng.uniform(-0.4, 0.4, 3))) * RADII_M
        near = np.argsort(np.linalg.norm(template - place, axis=1))[:6]
        regressor[joint, near] = rng.dirichlet(np.ones(6))
    for vertex in range(count):
        weights[vertex, rng.permutation(24)[:4]] = rng.dirichlet(np.ones(4))
    tree = np.array([PARENTS, range(24)], np.int64)
    return {
        "v_template": template,
        "f": faces.astype(np.uint32),
        "weights": weights,
        "kintree_table": tree.astype(np.uint32),  # the root's -1 becomes 4294967295
        "shapedirs": rng.normal(0, 0.01, (count, 3, betas)),
        "posedirs": rng.normal(0, 0.001, (count, 3, 207)),
        "J_regressor": regressor,
    }


class Ch:
    """chumpy.ch.Ch, as far as a pickle shows it."""

    __module__ = "chumpy.ch"

    def __init__(self, **state) -> None:
        self.__dict__.update(state, _dirty_vars={"x"}, _itr=None, _depends_on_deps={}, _make_dense=False)


class Select(Ch):
    __module__ = "chumpy.reordering"


class csc_matrix:
    """scipy.sparse.csc.csc_matrix, likewise."""

    __module__ = "scipy.sparse.csc"

    def __init__(self, dense: np.ndarray) -> None:
        rows, columns = np.nonzero(dense.T)[::-1]
        self.data = dense[rows, columns]
        self.indices = rows.astype(np.int32)
        self.indptr = np.searchsorted(columns, np.arange(dense.shape[1] + 1)).astype(np.int32)
        self._shape, self.maxprint, self.format = dense.shape, 50, "csc"


class Python2Pickler(pickle._Pickler):
    """Writes texts and bytes as python 2's str, and names as python 2 had them, wherever they lie today."""

    dispatch = dict(pickle._Pickler.dispatch)
    OLD = {
        "builtins": "__builtin__",
        "copyreg": "copy_reg",
        "numpy._core.multiarray": "numpy.core.multiarray",
    }

    def save_text(self, value) -> None:
        content = value.encode("latin-1") if isinstance(value, str) else value
        if not self.bin:
            self.write(b"S" + repr(content)[1:].encode() + b"\n")
        elif len(content) < 256:
            self.write(b"U" + bytes([len(content)]) + content)
        else:
            self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    def save_global(self, value, name=None) -> None:
        module = self.OLD.get(value.__module__, value.__module__)
        self.write(f"c{module}\n{name or value.__qualname__}\n".encode())
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_text
    dispatch[types.FunctionType] = save_global


def python2_pickle(value, protocol: int) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol).dump(value)
    return file.getvalue()


def smpl_1_0(arrays: dict[str, np.ndarray], protocol: int = 2) -> bytes:
    """As SMPL 1.0: shape directions picked from more by chumpy, a sparse regressor, and things nobody reads."""
    more = np.concatenate([arrays["shapedirs"], np.ones((len(arrays["v_template"]), 3, 2))], axis=2)
    picked = np.arange(more.size).reshape(more.shape)[..., : arrays["shapedirs"].shape[2]]
    return python2_pickle(
        {
            **arrays,
            "v_template": Ch(x=arrays["v_template"]),
            "shapedirs": Select(a=Ch(x=more), idxs=picked.ravel(), preferred_shape=picked.shape),
            "J_regressor": csc_matrix(arrays["J_regressor"]),
            "J_regressor_prior": csc_matrix(arrays["J_regressor"]),
            "posedirs": np.asfortranarray(arrays["posedirs"]),
            "bs_style": "lbs",
            "pose_training_info": {"gender": "n", "scale": np.float64(1.5), "big": 1 << 40, "flag": True},
        },
        protocol,
    )


# hostile files


class Reduced:
    """An object whose pickle calls a function with arguments when a plain unpickler reads it."""

    def __init__(self, function, *args) -> None:
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def _entry(content: bytes, protocol: int = 2) -> bytes:
    """A dictionary whose v_template is what these instructions leave on the stack."""
    return b"\x80" + bytes([protocol]) + b"}U\nv_template" + content + b"s."


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _array(shape: bytes, dtype: bytes, content: bytes) -> bytes:
    """A numpy array in instructions, with parts that numpy would never write."""
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return made + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb"


F8 = b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
CH = b"cchumpy.ch\nCh\n)\x81"


def armed_files(canary: Path) -> dict[str, bytes]:
    """Files that make `canary` when a plain unpickler reads them."""
    at, write = str(canary), b"U\x01w"
    made = {
        "reduce, protocol 0": b"(dS'v_template'\ncio\nopen\n(S'%s'\nS'w'\ntRs." % at.encode(),
        "reduce, protocol 2": _entry(b"c__builtin__\nopen\n" + _text(at) + write + b"\x86R"),
        "stack global": _entry(_text("io") + _text("open") + b"\x93" + _text(at) + write + b"\x86R"),
        "dotted name": pickle.dumps({"v_template": Reduced(Path.touch, canary)}, 4),
        "dotted name of numpy": _entry(_text("numpy") + _text("ndarray.tofile") + b"\x93"
            + b"cnumpy\nzeros\nK\x01\x85R" + _text(at) + b"\x86R", protocol=4),
        "function of numpy": _entry(b"cnumpy\nsave\n" + _text(at + ".npy") + b"K\x01\x86R"),
        "object array": pickle.dumps({"v_template": np.array([Reduced(open, at, "w")], object)}, 2),
        "getattr": pickle.dumps({"v_template": Reduced(getattr, Reduced(Path, at), "touch")}, 2)[:-2]
            + b")Rs.",
        "old-style instance": _entry(b"(" + _text(at) + write + b"iio\nopen\n"),
        "old-style object": _entry(b"(cio\nopen\n" + _text(at) + write + b"o"),
        "state that becomes a call": _entry(b"cfunctools\npartial\ncio\nopen\n\x85R(cio\nopen\n" + _text(at)
            + write + b"\x86}}tb)R"),
        "eval": _entry(b"c__builtin__\neval\n" + _text(f"open({at!r}, 'w')") + b"\x85R"),
    }  # fmt: skip
    return made


def inert_files(whole: bytes) -> dict[str, bytes]:
    """Files that are wrong, or ask for all memory or time."""
    nested = b"N" + b"\x85" * 100_000
    laughs = b"]q\x000" + b"(h\x00h\x00lq\x000" * 64 + b"h\x00"
    return {
        "persistent id": _entry(b"Psomewhere\n"),
        "persistent id, binary": _entry(b"U\x01xQ"),
        "huge shape": _entry(_array(b"M\xff\xffM\xff\xffM\xff\xff\x87", F8, b"U\x08" + bytes(8))),
        "negative shape": _entry(_array(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86", F8, b"U\x08" + bytes(8))),
        "object dtype": _entry(_array(b"K\x01\x85", F8.replace(b"f8", b"O8"), b"]Na")),
        "record dtype": _entry(_array(b"K\x01\x85", F8.replace(b"<NNN", b"<NU\x01aN"), b"U\x08" + bytes(8))),
        "truncated": whole[: len(whole) // 2],
        "truncated at once": b"\x80",
        "empty": b"",
        "no pickle": b"hello, world\n",
        "memo hole": _entry(b"j\xff\xff\xff\xff"),
        "memo bomb": _entry(b"Nr\xff\xff\xff\xff"),
        "stack bomb": b"(" * 200_000 + b".",
        "list bomb": b"]" * 100_000 + b".",
        "billion laughs": _entry(laughs),
        "billion laughs as shape": _entry(
            _array(laughs.replace(b"l", b"t").replace(b"]", b")"), F8, b"U\x00")
        ),
        "deep tuple": _entry(nested),
        "deep tuple as key": b"}" + nested + b"Ns.",
        "deep tuple as shape": _entry(_array(nested, F8, b"U\x00")),
        "shared tuple as key": b"}" + laughs.replace(b"l", b"t").replace(b"]", b")") + b"Ns.",
        "extension code": _entry(b"\x82\x01"),
        "extension code, four bytes": _entry(b"\x84\x01\x00\x00\x00"),
        "state of a class": _entry(b"cchumpy.ch\nCh\n}U\x0c__setstate__Nsb"),
        "state of a list": _entry(b"]}U\x09__class__Nsb"),
        "state twice": _entry(CH + b"}b}U\x01x" + _array(b"K\x01\x85", F8, b"U\x08" + bytes(8)) + b"sb"),
        "slot state": _entry(CH + b"N}U\x08__dict__Ns\x86b"),
        "keyword arguments": _entry(b"cchumpy.ch\nCh\n)}\x92"),
        "items of a class": _entry(b"cnumpy\nndarray\nU\x01aNs"),
        "items of a tuple": _entry(b")Na"),
        "call of a list": _entry(b"])R"),
        "long text": _entry(b"\x8d" + struct.pack("<Q", 1 << 62)),
        "long text, negative": _entry(b"T" + struct.pack("<i", -1)),
        "long bytes": _entry(b"\x8e" + struct.pack("<Q", (1 << 64) - 1)),
        "long integer": _entry(b"\x8b" + struct.pack("<I", 1 << 30)),
        "long line": b"c" + b"a" * 5000 + b"\nb\n.",
        "outside buffer": _entry(b"\x97\x98"),
        "another codec": _entry(_array(b"K\x01\x85", F8, b"c_codecs\nencode\nU\x01xU\x05rot13\x86R")),
        "node of itself": _entry(CH + b"q\x00}U\x01xh\x00sb"),
        "set with keys": _entry(b"\x8f(]\x90"),
        "mark left over": _entry(b"("),
        "no dictionary": b"]N.",
    }
