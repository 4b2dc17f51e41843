"""Sets of samples: the same bytes however they are made, and what training reads of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ManifestError
from pipeline.fields import FIELDS
from pipeline.shards import ShardReader, read_index
from pipeline.simulation.make_samples import main, make_samples
from pipeline.simulation.sample_set import SampleSet, blocks_of, split_of
from pipeline.simulation.samples import SAMPLES_PER_WARDROBE, draw_sample
from training.data import ShardDataset

ROOT = Path(__file__).resolve().parents[3]
SHARES = {"train": 0.5, "val": 0.5}
WANTED = SampleSet(seed=4, count=18, subjects=None, size_px=40, shares=SHARES)
WORDS = ["--count", "18", "--seed", "4", "--size-px", "40", "--split-shares", "train=0.5,val=0.5"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The set made by this process alone, and by two on a machine that has few libraries."""
    here, few = (tmp_path_factory.mktemp(name) / "people" for name in ("here", "few"))
    script = Path(__file__).with_name("few_libraries.py")
    with subprocess.Popen(
        [sys.executable, script, few, *WORDS, "--processes", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as alone:
        make_samples(here, WANTED, processes=1)
        said, complaint = alone.communicate(timeout=120)
    assert alone.returncode == 0, complaint
    assert "18 of 18 samples" in said
    return here, few


def test_processes_and_libraries_change_no_byte(folders):
    here, few = folders
    files = sorted(file.relative_to(here) for file in here.rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(few) for file in few.rglob("*") if file.is_file())
    assert len(files) == 4
    assert all((here / file).read_bytes() == (few / file).read_bytes() for file in files)
    assert [each.name for each in few.parent.iterdir()] == ["people"]  # nothing temporary stays


def test_a_sample_is_its_number_whoever_draws_it(folders):
    fields = [name for name in read_index(folders[1])["fields"] if name != "row_crc32"]
    stored = ShardReader(folders[1], split="val", fields=fields, verify_rows=True)
    for number in (17, 16):
        drawn = draw_sample(WANTED.seed, number, size_px=WANTED.size_px)
        assert set(drawn) == set(fields)
        for name in fields:
            np.testing.assert_array_equal(stored[number - 16][name], drawn[name], err_msg=name)


def test_training_reads_every_field(folders):
    index = read_index(folders[0])
    assert all(FIELDS[name].shard or name == "row_crc32" for name in index["fields"])
    sizes = {}
    for split in SHARES:
        data = ShardDataset(folders[0], split=split, fields=list(index["fields"]))
        sizes[split] = len(data)
        sample = data[0]
        assert (
            sample["image"].shape == (40, 40, 3) and sample["subject"] in index["splits"][split]["subjects"]
        )
    assert sizes == {"train": SAMPLES_PER_WARDROBE, "val": 2}
    assert sum(capture["samples"] for capture in index["captures"].values()) == 18
    assert "| train | 16 | 1 | s00000 |" in (folders[0] / "CARD.md").read_text()


def test_an_existing_folder_is_left_alone(tmp_path, capsys):
    (tmp_path / "note").write_text("mine")
    assert main([str(tmp_path), *WORDS]) == ManifestError.exit_code
    assert "must not be there yet" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["note"]


def test_splits_part_people_by_their_shares_and_stay_as_the_set_grows():
    shares = {"train": 0.9, "val": 0.05, "test": 0.05}
    splits = [split_of(subject, shares) for subject in range(1000)]
    assert {split: splits.count(split) for split in shares} == pytest.approx(
        {"train": 900, "val": 50, "test": 50}, abs=3  # golden-ratio steps stray by the logarithm of the count
    )  # fmt: skip
    small = SampleSet(seed=0, count=160, subjects=None, size_px=64, shares=shares)
    large = SampleSet(seed=0, count=1600, subjects=None, size_px=64, shares=shares)
    where = [
        {number: block.split for block in blocks_of(each, 10**6) for number in block.numbers}
        for each in (small, large)
    ]
    assert len(where[0]) == 160 and where[0].items() <= where[1].items()


def test_shards_hold_whole_wardrobes_and_few_people_return_in_other_clothes():
    wanted = SampleSet(seed=0, count=320, subjects=4, size_px=64, shares=SHARES)
    blocks = blocks_of(wanted, 1_000_000)
    assert len(blocks) > 4
    assert all(len(block.numbers) % SAMPLES_PER_WARDROBE == 0 for block in blocks)
    assert sorted(number for block in blocks for number in block.numbers) == list(range(320))
    people = {
        split: {n // SAMPLES_PER_WARDROBE % 4 for b in blocks if b.split == split for n in b.numbers}
        for split in SHARES
    }
    assert people["train"] | people["val"] == {0, 1, 2, 3} and not people["train"] & people["val"]


def test_a_split_without_a_person_is_refused():
    wanted = SampleSet(seed=0, count=16, subjects=None, size_px=64, shares=SHARES)
    with pytest.raises(ManifestError, match="every split must have a subject"):
        blocks_of(wanted, 10**6)


def test_what_is_left_of_a_failed_run_is_nothing(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.simulation.make_samples.draw_sample", fails)
    assert main([str(tmp_path / "out"), *WORDS, "--processes", "1"]) == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ["train=0.9", "train=0.5,dev=0.5", "train", "train=1.5,val=-0.5"])
def test_shares_that_are_none_are_refused(word, capsys):
    with pytest.raises(SystemExit):
        main(["out", "--count", "16", "--split-shares", word])
    assert "--split-shares" in capsys.readouterr().err


def test_the_index_says_what_the_set_is_made_of(folders):
    index = json.loads((folders[0] / "dataset.json").read_text())
    assert index["settings"]["samples"]["targets"]["window_px"] == 15
    assert index["seed"] == 4 and index["name"] == "people"
