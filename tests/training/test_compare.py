"""Comparison of runs: intervals that are known, pairing, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from training.compare import bootstrap_interval, compare_runs, comparison_table, read_samples
from training.metrics import metric
from training.tables import to_markdown


def a_run(
    root: Path, name: str, values: np.ndarray, subjects: list[str], *, predictor: str = "depth-net"
) -> Path:
    run = root / name
    (run / "evaluation").mkdir(parents=True)
    records = [
        {
            "predictor": one,
            "capture": f"c{index % 3}",
            "frame": index,
            "subject": subject,
            "metrics": [metric("MAE, median", float(value) + (one != predictor), "cm")],
        }
        for one in (predictor, "flat median plane")
        for index, (value, subject) in enumerate(zip(values, subjects, strict=True))
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (run / "evaluation" / "samples.jsonl").write_text(lines)
    return run


def test_interval_of_equal_values_is_the_value():
    assert bootstrap_interval(np.full(9, 2.5), ["a"] * 9, seed=0) == (2.5, 2.5, "samples")


def test_interval_is_that_of_the_normal_law_for_many_values():
    values = np.random.default_rng(0).standard_normal(400)
    low, high, _ = bootstrap_interval(values, ["a"] * 400, seed=1)
    half = 1.96 * values.std() / 20
    # 4000 rounds put the 2.5 % quantile within about 4 % of the half width
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_people_are_drawn_from_five_on_and_make_the_interval_honest():
    subject_of = np.repeat(np.arange(5), 40)
    values = np.array([0.0, 1, 2, 3, 4])[subject_of]  # no spread within a person
    low, high, drawn = bootstrap_interval(values, [f"p{one}" for one in subject_of], seed=0)
    alone = bootstrap_interval(values, ["p"] * 200, seed=0)
    assert (drawn, alone[2]) == ("subjects", "samples")
    assert high - low > 4 * (alone[1] - alone[0])
    four = bootstrap_interval(values[:160], [f"p{one}" for one in subject_of[:160]], seed=0)
    assert four[2] == "samples"


def test_mean_weighs_samples_not_people():
    values, groups = np.array([0.0] * 9 + [10.0] * 3), [*"aaaaaaaaa", *"bcd"]
    low, high, drawn = bootstrap_interval(values, [*groups[:11], "e"], seed=0)
    assert drawn == "samples" and low < 2.5 < high


def test_same_seed_gives_the_same_interval_and_another_gives_another():
    values = np.random.default_rng(3).random(20)
    first = bootstrap_interval(values, ["a"] * 20, seed=5)
    assert bootstrap_interval(values, ["a"] * 20, seed=5) == first
    assert bootstrap_interval(values, ["a"] * 20, seed=6) != first
    with pytest.raises(ValueError, match="must hold at least one"):
        bootstrap_interval(np.zeros(0), [], seed=0)


def test_small_steady_gain_shows_in_pairs_though_the_means_overlap(tmp_path):
    values = 3 + 2 * np.random.default_rng(0).random(30)
    subjects = [f"p{index % 6}" for index in range(30)]
    a, b = a_run(tmp_path, "a", values, subjects), a_run(tmp_path, "b", values - 0.1, subjects)
    first, second = compare_runs([a, b])
    assert first["difference"] is None and first["drawn"] == "subjects" and first["samples"] == 30
    assert second["mean"]["low"] < first["mean"]["value"] < second["mean"]["high"]
    assert second["difference"]["value"] == pytest.approx(-0.1)
    assert second["difference"]["high"] < 0 and second["difference"]["unit"] == "cm"
    shown = to_markdown(comparison_table([first, second]))
    assert "-0.100" in shown and "drawn again: subjects" in shown


def test_pairs_go_by_capture_and_frame_not_by_line(tmp_path):
    values = np.arange(12.0)
    a = a_run(tmp_path, "a", values, ["p"] * 12)
    b = a_run(tmp_path, "b", values, ["p"] * 12)
    file = b / "evaluation" / "samples.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:12][::-1] + lines[12:]))
    first, second = compare_runs([a, b])
    assert (second["difference"]["low"], second["difference"]["high"]) == (0, 0)
    assert second["mean"] == first["mean"]  # to the last digit: the same draws meet the same samples


def test_another_predictor_of_the_run_can_be_read(tmp_path):
    run = a_run(tmp_path, "a", np.ones(3), ["p"] * 3)
    plane = read_samples(run, "flat median plane")
    assert [record["metrics"][0]["value"] for record in plane.values()] == [2, 2, 2]
    with pytest.raises(InputError, match="must be one of depth-net, flat median plane, is 'other'"):
        read_samples(run, "other")


def test_what_cannot_be_compared_is_refused(tmp_path):
    a = a_run(tmp_path, "a", np.ones(4), ["p"] * 4)
    b = a_run(tmp_path, "b", np.ones(3), ["p"] * 3)
    with pytest.raises(InputError, match="must be scored on the samples of .*, 1 stand on one side only"):
        compare_runs([a, b])
    with pytest.raises(InputError, match="metric must be one of MAE, median, is 'IoU'"):
        compare_runs([a], metric="IoU")
    with pytest.raises(InputError, match="Evaluate the run before comparing it"):
        compare_runs([tmp_path / "none"])
    (a / "evaluation" / "samples.jsonl").write_text("{")
    with pytest.raises(InputError, match="must hold one record a line"):
        compare_runs([a])
    c = a_run(tmp_path, "c", np.ones(2), ["p"] * 2)
    file = c / "evaluation" / "samples.jsonl"
    file.write_text(file.read_text().replace('"value": 1.0', '"value": null', 1))
    with pytest.raises(InputError, match="must be measured on every sample, is not on c0, frame 0"):
        compare_runs([c])
