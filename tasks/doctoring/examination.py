"""All checks, several at a time, answered in their order; one that breaks is itself a line."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tasks.doctoring import abilities, libraries, machine
from tasks.doctoring.requirements import Requirement, requirements
from tasks.doctoring.row import Row

Check = tuple[str, str, Callable[[], Row]]  # group, what is checked, how
AT_MOST_PROCESSES = 4  # beyond it the disk that libraries are read from is what they wait for


def examine(out: Path) -> Iterator[Row]:
    """Carry out all checks and yield their lines in the order of `checks`.

    Args:
        out: where outputs would go.
    """
    cores = machine.usable_cores()
    try:
        needed = requirements()
    except Exception as error:  # whatever is wrong with the installation
        yield _broken_check("Libraries", "requirements", error)
        needed = []
    listed = checks(out, needed, threads=min(cores, 2))
    with ThreadPoolExecutor(min(cores, AT_MOST_PROCESSES)) as pool:
        for future in [pool.submit(_guarded, *check) for check in listed]:
            yield future.result()


def checks(out: Path, needed: list[Requirement], *, threads: int) -> list[Check]:
    """Every check, as the answer lists them."""
    required = [requirement for requirement in needed if requirement.extra is None]
    optional = [requirement for requirement in needed if requirement.extra is not None]

    def imported(requirement: Requirement) -> Check:
        group = libraries.group_of(requirement)
        return group, requirement.name, partial(libraries.library_row, requirement)

    return [
        (machine.MACHINE, "Python", machine.python_row),
        (machine.MACHINE, "processor", machine.processor_row),
        (machine.MACHINE, "memory", machine.memory_row),
        (machine.MACHINE, "GPU", abilities.gpu_row),
        (machine.MACHINE, "open files", machine.open_files_row),
        (machine.DISK, "output", partial(machine.out_row, out)),
        (machine.DISK, "temporary", machine.temporary_row),
        (machine.DISK, "shared memory", machine.shared_memory_row),
        *map(imported, required),
        (abilities.TRIALS, "Blender", partial(abilities.blender_row, threads)),
        (abilities.TRIALS, "ray caster", partial(abilities.raycast_row, threads)),
        (abilities.TRIALS, "lz4 in HDF5", abilities.lz4_row),
        (abilities.TRIALS, "default body", abilities.body_row),
        (abilities.OWN, "data root", abilities.data_root_row),
        (abilities.OWN, "SMPL body", abilities.smpl_row),
        *map(imported, optional),
    ]


def _guarded(group: str, check: str, carry_out: Callable[[], Row]) -> Row:
    try:
        return carry_out()
    except Exception as error:  # no check may keep the others from being carried out
        return _broken_check(group, check, error)


def _broken_check(group: str, check: str, error: Exception) -> Row:
    return Row(
        group=group,
        check=check,
        state="broken",
        finding=f"this check must come to an end, does not: {type(error).__name__}: {error}",
        next="Mend what stands broken above it; if nothing does, report it with these lines.",
    )
