"""What would run and why: expected recipes held against the newest sealed ones."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ManifestError
from pipeline.quality import quarantine_rows
from pipeline.sealing import DAMAGE, RECORD, read_record
from tasks.context import manifest_of
from tasks.costs import Cost, Estimator
from tasks.graph import Dataset, all_tasks
from tasks.shards import Shards
from tasks.stage import CaptureStage, SealedTask


@dataclass(frozen=True, kw_only=True)
class PlannedTask:
    """One task of a manifest's graph. `state` is done, quarantined or build."""

    task: SealedTask
    state: str
    why: str
    cost: Cost | None

    def to_json(self) -> dict[str, Any]:
        cost = self.cost.to_json() if self.cost else []
        return {
            "stage": self.task.NAME,
            "capture": getattr(self.task, "capture", None),
            "state": self.state,
            "why": self.why,
            "fingerprint": self.task.fingerprint(),
            "place": str(self.task.place()),
            "estimate": cost,
        }


def plan(manifest: str) -> list[PlannedTask]:
    """Every task in building order, with its state and the reason where it would run."""
    planned: list[PlannedTask] = []
    building: dict[str, str] = {}
    estimator = Estimator(manifest_of(manifest))
    for task in all_tasks(manifest):
        record = read_record(task.place())
        if record is not None and record.get("fingerprint") == task.fingerprint():
            rejected = record["rejected"]
            state, why = ("quarantined", rejected["reason"]) if rejected else ("done", "")
            planned.append(PlannedTask(task=task, state=state, why=why, cost=None))
            continue
        before = newest_record(task)
        above = [other.NAME for other in task.upstream().values() if other.task_id in building]
        above += _replaced(before, task.recipe())
        why = "; ".join(part for part in (_own_reason(task, before), _after(above)) if part)
        building[task.task_id] = why
        planned.append(PlannedTask(task=task, state="build", why=why, cost=estimator.cost(task)))
    return planned


def newest_record(task: SealedTask) -> dict[str, Any] | None:
    """The record of the same stage and capture that was sealed last, whatever its fingerprint."""
    if isinstance(task, CaptureStage):
        records = list(task.place().parent.glob(f"*/{RECORD}"))
    else:
        versions = task.loaded().folder / "versions"
        records = [*versions.glob(f"*/{RECORD}"), *versions.glob(f"*/report/{RECORD}")]
    for path in sorted(records, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        record = read_record(path.parent)
        if record is not None and record["stage"] == task.NAME:
            return record
    return None


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Readable differences of two recipes, such as `settings.sigma_depth_m 0.1 -> 0.2`."""
    found = []
    for key in sorted(set(before) | set(now)):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{key}.")
        else:
            found.append(f"{prefix}{key} {_short(old)} -> {_short(new)}")
    return found


def _own_reason(task: SealedTask, before: dict[str, Any] | None) -> str:
    place = task.place()
    if (place / DAMAGE).exists():
        return "the sealed output is damaged"
    if place.exists() and read_record(place) is None:
        return "the sealed output is not whole: a file is missing or has changed"
    if before is None:
        return "never built"
    recipe = task.recipe()
    changed = differences(
        {key: value for key, value in before["recipe"].items() if key != "upstream"},
        {key: value for key, value in recipe.items() if key != "upstream"},
    )
    return "; ".join(_plain(change) for change in changed)


def _replaced(before: dict[str, Any] | None, recipe: dict[str, Any]) -> list[str]:
    """Stages whose output is another one than the task was last built on."""
    if before is None:
        return []
    used = before["recipe"]["upstream"]
    return [name.partition("/")[0] for name, found in recipe["upstream"].items() if used.get(name) != found]


def _plain(change: str) -> str:
    return "the raw files have changed" if change.startswith("inputs.raw ") else change


def _after(stages: list[str]) -> str:
    names = sorted(set(stages))
    if not names:
        return ""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"after {shown}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def totals(planned: list[PlannedTask]) -> str:
    """The last line of `plan`: how much is to do, and what it will take as far as that is known."""
    waiting = [item for item in planned if item.state == "build"]
    if not waiting:
        return "nothing to build"
    costs = [item.cost for item in waiting if item.cost is not None]
    unknown = len(waiting) - len(costs)
    text = (
        f"{len(waiting)} of {len(planned)} to build; about {sum(cost.seconds for cost in costs):.0f} s, "
        f"{max((cost.peak_rss_mb for cost in costs), default=0):.0f} MB of memory, "
        f"{sum(cost.disk_mb for cost in costs):.0f} MB of disk"
    )
    return text + (f" (without {unknown} stages never measured)" if unknown else "")


def status_rows(manifest: str) -> list[dict[str, Any]]:
    """One row a capture and one for the dataset: sealed, quarantined or waiting, and what comes next."""
    rows = []
    planned = plan(manifest)
    for capture in Shards(manifest=manifest).loaded().captures:
        mine = [item for item in planned if getattr(item.task, "capture", None) == capture]
        records = [read_record(item.task.place()) or {} for item in mine if item.state != "build"]
        waiting = [item for item in mine if item.state == "build"]
        quarantined = any(item.state == "quarantined" for item in mine)
        state = "quarantined" if quarantined else "waiting" if waiting else "sealed"
        reason = next((item.why for item in mine if item.state == "quarantined"), "")
        rows.append(
            {
                "capture": capture,
                "state": state,
                "samples": 0 if quarantined or not records else records[-1].get("samples", 0),
                "quarantined": sum(row.get("drops", True) for row in quarantine_rows(records)),
                "next": reason or (waiting[0].task.NAME if waiting else ""),
            }
        )
    shards = next(item for item in planned if item.task.NAME == "shards")
    published = Dataset(manifest=manifest).complete()
    rows.append(
        {
            "capture": "(dataset)",
            "state": "sealed" if published else "waiting",
            "samples": (read_record(shards.task.place()) or {}).get("samples", 0),
            "quarantined": sum(row["quarantined"] for row in rows),
            "next": "" if published else "build",
        }
    )
    return rows


def lineage(manifest: str, capture: str) -> list[dict[str, Any]]:
    """Every stage of one capture in order, with settings, inputs, hashes, figures and quarantine.

    Raises:
        ManifestError: for a capture that the manifest does not name.
    """
    captures = Shards(manifest=manifest).loaded().captures
    if capture not in captures:
        near = difflib.get_close_matches(capture, captures, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"It names {', '.join(captures)}."
        raise ManifestError(f"{manifest}: capture must be one of its own, is {capture!r}. {hint}")
    rows = []
    for item in plan(manifest):
        if getattr(item.task, "capture", None) != capture:
            continue
        record = read_record(item.task.place()) or {}
        rows.append(
            {
                **item.to_json(),
                "recipe": item.task.recipe(),
                "samples": record.get("samples"),
                "stats": [{"name": name, **stat} for name, stat in record.get("stats", {}).items()],
                "quarantine": quarantine_rows([record]) if record else [],
                "run": record.get("run"),
            }
        )
    return rows


def lineage_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The readable form of `lineage`."""
    for row in rows:
        head = f"{row['stage']}  {row['fingerprint']}  {row['state']}"
        yield head + (f"  ({row['why']})" if row["why"] else "")
        recipe = row["recipe"]
        yield f"  version {recipe['version']}"
        for group in ("settings", "inputs", "upstream"):
            for key, value in recipe[group].items():
                yield f"  {group}.{key} = {value}"
        for stat in row["stats"]:
            yield f"  {stat['name']}: {stat['value']} {stat['unit']}"
        for entry in row["quarantine"]:
            yield f"  quarantined, {entry['reason']}: {entry['message']}"
        yield f"  {row['place']}"
