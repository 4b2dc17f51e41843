"""Files in the form of DensePose's UV_Processed.mat, made of our own charts, and one that unfolds to far more."""

import struct
import zlib

import numpy as np

DROPPED = 2  # faces that no chart has, as two toe triangles of SMPL


def mat_arrays(body, charts, seed: int = 0) -> dict[str, np.ndarray]:
    """Our own charts in DensePose's form: mirrored, corners turned, faces shuffled, all counted from 1."""
    rng = np.random.default_rng(seed)
    part = charts.atlas.part
    codes = part[:, None].astype(np.int64) * len(body.arrays.template_m) + body.faces
    _, first, rows = np.unique(codes, return_index=True, return_inverse=True)
    uv = charts.atlas.corner_uv.reshape(-1, 2)[first]
    order = rng.permutation(len(part))[DROPPED:]
    faces = rows.reshape(-1, 3)[order]
    turn = rng.integers(0, 3, len(faces))
    faces = np.take_along_axis(faces, (np.arange(3) + turn[:, None]) % 3, axis=1)
    return {
        "All_vertices": (1.0 + body.faces.ravel()[first])[None],
        "All_U_norm": 1 - uv[:, :1],
        "All_V_norm": uv[:, 1:],
        "All_Faces": (faces + 1).astype(np.uint16 if rows.max() < 65535 else np.int32),
        "All_FaceIndices": part[order][:, None],
    }


def bomb(length: int) -> bytes:
    """A mat file whose only array says that it is of ten numbers and unfolds to `length` bytes."""
    parts = struct.pack("<II", 6, 8) + struct.pack("<II", 6, 0)  # an array of doubles
    parts += struct.pack("<II", 5, 8) + struct.pack("<ii", 1, 10)
    parts += struct.pack("<II", 1, 9) + b"All_Faces".ljust(16, b"\0") + struct.pack("<II", 9, length)
    stream = zlib.compressobj(1)
    packed = stream.compress(struct.pack("<II", 14, len(parts) + length) + parts)
    for _ in range(length >> 20):
        packed += stream.compress(bytes(1 << 20))
    packed += stream.flush()
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    return head + struct.pack("<II", 15, len(packed)) + packed
