"""Random streams that depend on what is drawn for, never on order, workers or restarts."""

import hashlib

import numpy as np


def stream(dataset_seed: int, stage: str, capture: str, frame: int | None = None) -> np.random.Generator:
    """Return the generator of one (dataset seed, stage, capture, frame); equal arguments, equal draws."""
    name = f"{dataset_seed}\0{stage}\0{capture}\0{'' if frame is None else frame}"
    words = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=32).digest(), dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words.tolist())))
