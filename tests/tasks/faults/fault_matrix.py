"""Every fault planted into a capture of its own, one manifest of all of them, and the page of what was said."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fault import Fault, Format
from format_faults import FORMATS

from pipeline.gates.finding import Finding
from tasks.checking import CheckedCapture

COMMAND = "python tests/tasks/test_faults.py"
HEAD = """# Fault matrix

`{command}` writes this page: it plants each fault into a capture of its own, runs
the checks of `bodytruth check` over all of them, and notes what they said; a test does the same and compares.

Before a fault is planted, its capture leaves no row. A capture of `kinect2` has {count} frames, and the fault is
about frame {frame}; the others have {few}, and it is frame {other}. *Stage* is where a build leaves the row, *kept*
how many of the listed frames come through, and *code* what `bodytruth check` ends with ([exit codes](exit-codes.md)).
Nothing is measured of what cannot be read. Limits are the defaults of [settings](manifest.md#stages);
[quarantine](quarantine.md) explains the reasons.
"""
UNSEEN_HEAD = """## What nobody can see

These were planted as well, and leave no row. Of two frames that changed places as a whole, each is sound, its pose
moved along, and no image says when it was taken; where their times changed places instead, the clock runs back. Depth
of a neighbour, depth that is a little short, and a rigid but wrong way between the cameras give frames that pass for
sound one by one. Of a static capture the fused surface must fit its frames (`residual-too-large`), which may tell.
"""


@dataclass(frozen=True)
class Case:
    """One capture of the matrix; `fault` is None where it was left sound."""

    capture: str
    format: Format
    fault: Fault | None = None

    @property
    def name(self) -> str:
        return f"{self.format.name}: {'sound' if self.fault is None else self.fault.name}"

    def rows(self) -> set[tuple[str, int | None]]:
        return set() if self.fault is None else self.fault.rows(self.format.frame, self.format.frames)

    @property
    def stage(self) -> str:
        return (self.fault.stage if self.fault else None) or self.format.stage


def _cases() -> Iterator[Case]:
    for number, format in enumerate(FORMATS):
        yield Case(f"{number}-sound", format)
        for at, fault in enumerate(format.faults):
            yield Case(f"{number}-{at:02d}", format, fault)


CASES = tuple(_cases())


def plant(folder: Path) -> Path:
    """Write every case below a folder; returns the manifest."""
    (folder / "raw").mkdir(parents=True)
    for case in CASES:
        place = folder / "raw" / case.capture
        if case.fault is None:
            case.format.write(place)
            sound = place
        else:
            shutil.copytree(sound, place)
            case.fault.write(place, case.format.frame)
    return write_manifest(folder, {case.capture: case.format for case in CASES})


def write_manifest(folder: Path, captures: Mapping[str, Format], name: str = "faulty.toml") -> Path:
    """The manifest of captures that lie in folder/raw; outputs go to folder/out."""
    head = '[dataset]\nname = "faulty"\nseed = 3\nimage_size_px = 64\ndata_root = "raw"\noutput = "out"\n'
    tables = "".join(
        f'[[capture]]\nid = "{capture}"\npath = "{capture}/{format.place}"\nsplit = "train"\n{format.table}'
        for capture, format in captures.items()
    )
    path = folder / name
    # a person of some 20 x 60 px in the crop, which the gates before it do not see
    path.write_text(f"{head}{tables}[stages.adopt]\nmin_mask_px = 100\n", encoding="utf-8")
    return path


def page(checked: Mapping[str, CheckedCapture]) -> str:
    """docs/faults.md, of what was said of every case by the capture's name."""
    first, other = FORMATS[0], FORMATS[1]
    head = HEAD.format(
        command=COMMAND, count=first.count, frame=first.frame, few=other.count, other=other.frame
    )
    columns = ("fault", "what was done", "reason", "about", "stage", "measured", "limit", "kept", "code")
    parts = [head]
    for format in FORMATS:
        rows = [
            _line(case, checked[case.capture])
            for case in CASES
            if case.format is format and case.fault is not None and case.fault.reason is not None
        ]
        parts.append(f"## {format.name}\n\n{_table(columns, rows)}")
    unseen = [
        (case.format.name, case.fault.name, case.fault.done)
        for case in CASES
        if case.fault is not None and case.fault.reason is None and not checked[case.capture].findings
    ]
    parts.append(f"{UNSEEN_HEAD}\n{_table(('format', 'fault', 'what was done'), unseen)}")
    return "\n".join(parts)


def main_finding(case: Case, findings: Iterable[Finding]) -> Finding:
    """The one that the fault is about, among all that were left."""
    assert case.fault is not None
    shift = case.fault.shift
    frame = None if shift is None else case.format.frame + shift
    return next(found for found in findings if (found.reason, found.frame) == (case.fault.reason, frame))


def _line(case: Case, checked: CheckedCapture) -> tuple[str, ...]:
    assert case.fault is not None
    found = main_finding(case, checked.findings)
    whole = found.frame is None and found.drops
    return (
        case.fault.name,
        case.fault.done,
        f"`{found.reason}`",
        _about(checked),
        case.stage,
        _figure(found.value, found.unit),
        _figure(found.limit, found.unit),
        "nothing" if whole else f"{checked.usable} of {checked.frames}",
        str(checked.exit_code),
    )


def _about(checked: CheckedCapture) -> str:
    numbers = sorted({found.frame for found in checked.findings if found.frame is not None})
    names = ["capture"] if any(found.frame is None for found in checked.findings) else []
    if numbers and len(numbers) == checked.frames:
        return ", ".join([*names, "every frame"])
    if numbers:
        names.append(f"frame{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}")
    return ", ".join(names)


def _figure(value: float | None, unit: str) -> str:
    """Two digits, which JPEG decoders agree on."""
    if value is None:
        return "none"
    return f"{float(f'{value:.2g}'):g}" + ("" if unit == "1" else f" {unit}")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
