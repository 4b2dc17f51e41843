"""`python -m pipeline.simulation.make_samples OUT --count N`: a dataset of simulated samples, of any size, anywhere.

It needs the source tree, numpy, scipy, numba, opencv, h5py and hdf5plugin; `python -m training` reads what it
writes. Every sample is drawn from its number alone, and a shard holds the samples of whole wardrobes in a
row, so the same command gives the same bytes with any number of processes.
"""

import argparse
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pipeline.card import card_markdown
from pipeline.checksums import fsync_folder
from pipeline.errors import BodytruthError, ManifestError, StageError
from pipeline.fingerprints import fingerprint
from pipeline.shards import INDEX, generator, pack_capture
from pipeline.simulation.sample_set import SHARES, Block, SampleSet, blocks_of, index_of, settings_of
from pipeline.simulation.samples import draw_sample
from pipeline.store import SCHEMA

log = logging.getLogger(__name__)

SHARD_BYTES = 64_000_000


def make_samples(folder: Path, wanted: SampleSet, *, processes: int, shard_bytes: int = SHARD_BYTES) -> None:
    """Write a dataset folder, whole or not at all.

    Raises:
        ManifestError: if the folder is there already, or a split gets no subject.
    """
    if folder.exists():
        raise ManifestError(f"{folder}: must not be there yet, is. Remove it, or name another folder.")
    blocks = blocks_of(wanted, shard_bytes)
    part = folder.with_name(f".{folder.name}.part-{os.getpid()}")
    (part / "shards").mkdir(parents=True)
    try:
        entries = _write_blocks(part, blocks, wanted, processes)
        index = index_of(part, folder.name, wanted, blocks, entries)
        (part / "CARD.md").write_text(card_markdown(index))
        (part / INDEX).write_text(json.dumps(index, indent=1, allow_nan=False) + "\n")
        fsync_folder(part)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_blocks(
    part: Path, blocks: Sequence[Block], wanted: SampleSet, processes: int
) -> dict[str, dict[str, Any]]:
    """Write every shard; returns index entries by file name."""
    entries: dict[str, dict[str, Any]] = {}
    begin_s = time.monotonic()
    for name, entry in _written(part, blocks, wanted, processes):
        entries[name] = entry
        done = sum(each["samples"] for each in entries.values())
        rate = done / (time.monotonic() - begin_s)
        log.info(
            f"{name}: {done} of {wanted.count} samples, {rate:.1f} a second, "
            f"{(wanted.count - done) / rate / 60:.1f} min left"
        )
    return entries


def _written(
    part: Path, blocks: Sequence[Block], wanted: SampleSet, processes: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    if processes == 1:
        _alone()
        yield from ((block.name, _write_block(part, block, wanted)) for block in blocks)
        return
    # Spawned: a forked child of a process with compiled threads may hang.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_alone) as pool:
        waiting = {pool.submit(_write_block, part, block, wanted): block.name for block in blocks}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _alone() -> None:
    """One thread: samples, not pixels, are what the processes share out."""
    import cv2
    import numba

    cv2.setNumThreads(1)
    numba.set_num_threads(1)


def _write_block(part: Path, block: Block, wanted: SampleSet) -> dict[str, Any]:
    made_of = {**settings_of(wanted), "numbers": block.numbers, "generator": generator(), "schema": SCHEMA}
    samples = (
        draw_sample(
            wanted.seed,
            number,
            size_px=wanted.size_px,
            subjects=wanted.subjects,
            upright=wanted.upright,
            targets=wanted.targets,
        )
        for number in block.numbers
    )
    # The block is the shard, however large it turns out.
    (entry,) = pack_capture(
        samples,
        part / "shards",
        names=iter([block.name]),
        shard_bytes=sys.maxsize,
        fingerprint=fingerprint(made_of),
    )
    return entry


def main(words: list[str] | None = None) -> int:
    """Run the command; a failure of a known kind is one sentence and its exit code."""
    arguments = _parser().parse_args(words)
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    wanted = SampleSet(
        seed=arguments.seed,
        count=arguments.count,
        subjects=arguments.subjects,
        size_px=arguments.size_px,
        shares=arguments.split_shares,
        upright=arguments.upright,
    )
    try:
        make_samples(arguments.out, wanted, processes=arguments.processes)
    except BodytruthError as error:
        return _say(str(error), error.exit_code)
    except OSError as error:
        return _say(f"{error.filename or 'system'}: {error.strerror or error}", StageError.exit_code)
    except KeyboardInterrupt:
        return _say("interrupted; nothing was left", 130)
    return 0


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.simulation.make_samples", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="the dataset's folder, not there yet")
    parser.add_argument("--count", type=_positive, required=True, help="samples in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--subjects", type=_positive, help="people in all; unless told, as many as wardrobes")
    parser.add_argument("--size-px", type=_positive, default=256, help="side of a sample")
    parser.add_argument(
        "--split-shares", type=_shares, default=SHARES, metavar="train=0.9,val=0.05,test=0.05",
        help="shares of the people",
    )  # fmt: skip
    parser.add_argument("--upright", action="store_true", help="who stand or walk, seen from before them")
    parser.add_argument("--processes", type=_positive, default=os.cpu_count() or 1)
    return parser


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, is {word!r}")
    return int(word)


def _shares(word: str) -> dict[str, float]:
    try:
        shares = {name: float(share) for name, share in (item.split("=") for item in word.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be like train=0.9,val=0.1, is {word!r}") from None
    if not set(shares) <= set(SHARES) or min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise argparse.ArgumentTypeError(f"must be shares of {', '.join(SHARES)} that sum to 1, are {word!r}")
    return shares


if __name__ == "__main__":
    sys.exit(main())
