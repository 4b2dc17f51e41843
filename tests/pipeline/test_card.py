"""The dataset card says what its index says, in tables that hold together."""

import re
from copy import deepcopy

import pytest

from pipeline.card import card_markdown
from pipeline.fields import FIELDS, fields_markdown

INDEX = {
    "schema": "1.0",
    "name": "spheres",
    "fingerprint": "0123456789abcdef",
    "generator": "bodytruth 0.1.0",
    "seed": 3,
    "image_size_px": 64,
    "fields": {name: {} for name, field in FIELDS.items() if field.shard},
    "splits": {
        "train": {
            "samples": 7,
            "shards": ["shards/train-00000.h5", "shards/train-00001.h5"],
            "subjects": ["ann", "cal"],
        },
        "test": {"samples": 2, "shards": ["shards/test-00000.h5"], "subjects": ["bob"]},
    },
    "captures": {
        "ann-1": {
            "subject": "ann",
            "split": "train",
            "samples": 4,
            "stats": {
                "fused residual, median": {"value": 0.00123456, "unit": "m", "limit": 0.01},
                "fused coverage": {"value": 0.98765, "unit": "1"},
                "truth depth error, median": {"value": 0.0021, "unit": "m"},
            },
        },
        "bob-1": {
            "subject": "bob",
            "split": "test",
            "samples": 0,
            "stats": {"fused coverage": {"value": None, "unit": "1"}},
        },
    },
    "quarantine": [],
    "licences": {"software": "Apache-2.0", "inputs": "their own"},
}


def row(capture, frame, reason="empty-depth", stage="ingest"):
    return {"capture": capture, "frame": frame, "stage": stage, "reason": reason}


def tables(markdown: str) -> dict[str, list[list[str]]]:
    """Cells of every table by the heading above it; an escaped bar belongs to its cell."""
    found: dict[str, list[list[str]]] = {}
    for section in re.split(r"^#+ ", markdown, flags=re.MULTILINE)[1:]:
        heading, *lines = section.splitlines()
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|")]
        if rows:
            found[heading] = [[cell.strip() for cell in cells] for cells in rows]
    return found


def test_head_names_what_the_dataset_is():
    head = card_markdown(INDEX).split("##")[0]
    assert head.startswith("# spheres\n")
    for text in ("`0123456789abcdef`", "bodytruth 0.1.0", "schema 1.0", "seed 3", "64 px"):
        assert text in head


def test_splits_count_samples_shards_and_subjects():
    assert tables(card_markdown(INDEX))["Splits"][2:] == [
        ["train", "7", "2", "ann, cal"],
        ["test", "2", "1", "bob"],
    ]


def test_fields_carry_the_field_table_word_for_word():
    rows = tables(card_markdown(INDEX))["Fields"][2:]
    assert [cells[0].strip("`") for cells in rows] == list(INDEX["fields"])
    for name, shape, dtype, unit, frame, invalid, doc in rows:
        field = FIELDS[name.strip("`")]
        expected = (field.shape or "scalar", field.dtype, field.unit, field.frame, field.invalid)
        assert (shape, dtype, unit, frame, invalid) == expected
        assert doc.replace("\\|", "|") == field.doc


def test_figures_show_four_digits_with_their_unit_or_that_nothing_was_measured():
    rows = tables(card_markdown(INDEX))["Captures"][2:]
    assert rows[0] == ["ann-1", "ann", "train", "4", "0.001235 m", "0.9877", "0.0021 m"]
    assert rows[1] == ["bob-1", "bob", "test", "0", "not measured", "not measured", "not measured"]


def test_quarantine_is_counted_by_capture_stage_and_reason():
    assert "Nothing was left out." in card_markdown(INDEX)
    rows = [row("b", 1), row("a", 2), row("a", 5), row("a", 3, "empty-render", "render"), row("a", None)]
    card = card_markdown({**INDEX, "quarantine": rows})
    assert "Nothing was left out." not in card
    assert tables(card)["Quarantine"][2:] == [
        ["a", "ingest", "empty-depth", "3"],
        ["a", "render", "empty-render", "1"],
        ["b", "ingest", "empty-depth", "1"],
    ]


def test_licences_are_listed():
    assert card_markdown(INDEX).rstrip().endswith("- software: Apache-2.0\n- inputs: their own")


def test_same_index_gives_the_same_page_and_stays_as_it_was():
    index = deepcopy(INDEX)
    assert card_markdown(index) == card_markdown(INDEX)
    assert index == INDEX


@pytest.mark.parametrize("page", [card_markdown(INDEX), fields_markdown()], ids=["card", "fields"])
def test_every_row_has_as_many_cells_as_its_head(page):
    assert any("|" in field.doc for field in FIELDS.values()), "a bar in a cell is what this test is about"
    for heading, rows in tables(page).items():
        assert {len(cells) for cells in rows} == {len(rows[0])}, heading


def test_bar_in_a_subject_does_not_end_its_cell():
    index = deepcopy(INDEX)
    index["captures"]["ann-1"]["subject"] = index["splits"]["train"]["subjects"][0] = "a|b"
    found = tables(card_markdown(index))
    assert found["Captures"][2][1] == "a\\|b" and found["Splits"][2][3] == "a\\|b, cal"
