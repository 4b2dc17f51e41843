"""Whether what the libraries are for works: rendering, GPU, compressed files, bodies, captures."""

import os
from pathlib import Path
from typing import Any

from pipeline.manifest import DATA_ROOT_VARIABLE
from pipeline.system_libraries import DEBIAN_LINE
from tasks.doctoring.libraries import reinstall
from tasks.doctoring.machine import MACHINE
from tasks.doctoring.requirements import requirements
from tasks.doctoring.row import Row
from tasks.doctoring.trying import ProbeError, attempt

TRIALS, OWN = "Trials", "Your data"


def blender_row(threads: int) -> Row:
    """Blender's depth and normals of a known scene against closed form."""
    return _render_row("blender", "Blender", "bpy", threads)


def raycast_row(threads: int) -> Row:
    """Embree's against the same."""
    return _render_row("raycast", "ray caster", "open3d", threads)


def _render_row(probe: str, check: str, library: str, threads: int) -> Row:
    next = reinstall(_requirement(library))
    try:
        found = attempt(probe, str(threads))
    except ProbeError as error:
        finding = str(error)
        if DEBIAN_LINE in finding:
            finding, next = finding.partition(" On Debian")[0], f"On Debian: {DEBIAN_LINE}"
        return Row(group=TRIALS, check=check, state="broken", finding=finding, next=next)
    return deviation_row(check, found, next)


def deviation_row(check: str, found: dict[str, Any], next: str) -> Row:
    """The line for a rendered scene that was compared.

    Args:
        found: members of `renderers.self_test.Deviation`, its `holds`, its limits, and the seconds that it took.
    """
    limit_mm, limit_deg = found["depth_limit_mm"], found["normal_limit_deg"]
    figures = (
        ("depth error, median", found["median_mm"], "mm"),
        ("depth error, maximum", found["max_mm"], "mm"),
        ("depth error, limit", limit_mm, "mm"),
        ("normal error, maximum", found["max_normal_deg"], "deg"),
        ("normal error, limit", limit_deg, "deg"),
        ("compared pixels", float(found["compared_px"]), "px"),
        ("holes", float(found["holes_px"]), "px"),
        ("time", round(found["seconds"], 2), "s"),
    )
    holes = f"{found['holes_px']} px of the known scene, which fills the image, are empty"
    if found["max_mm"] is None:
        finding = holes
    else:
        finding = (
            f"depth at most {found['max_mm']:.2f} mm off (median {found['median_mm']:.4f}, limit {limit_mm:g}), "
            f"normals {found['max_normal_deg']:.2f} deg (limit {limit_deg:g}); {found['seconds']:.1f} s"
        )
        finding += f"; {holes}" if found["holes_px"] else ""
    holds = found["holds"]
    return Row(
        group=TRIALS,
        check=check,
        state="ok" if holds else "broken",
        finding=finding,
        next="" if holds else next,
        figures=figures,
    )


def gpu_row() -> Row:
    """GPUs that PyTorch can train on; none is needed."""
    try:
        return seen_gpus_row(attempt("gpu", "torch"))
    except ProbeError as error:
        finding = f"PyTorch could not be asked: {error}"
        return Row(group=MACHINE, check="GPU", state="optional", finding=finding, required=False)


def seen_gpus_row(facts: dict[str, Any]) -> Row:
    """The line for what PyTorch sees; its GPUs, when it has some, must work, since training takes them.

    Args:
        facts: as `tasks.doctoring.probe.gpu` gives them.
    """
    torch, cuda, driver, devices = (facts[name] for name in ("torch", "cuda", "driver", "devices"))
    on_cpu = "training runs on the CPU"
    if devices:
        names = ", ".join(f"{device['name']} {device['memory_bytes'] / 1e9:.0f} GB" for device in devices)
        finding = f"{names}; driver {driver or 'unknown'}, PyTorch {torch} for CUDA {cuda}"
        figures = tuple((f"memory of GPU {i}", d["memory_bytes"] / 1e9, "GB") for i, d in enumerate(devices))
        if facts["error"] is None:
            return Row(
                group=MACHINE, check="GPU", state="ok", finding=finding, required=False, figures=figures
            )
        finding = f"{finding}, and does not compute: {facts['error']}"
        next = 'Install a PyTorch built for this GPU (pytorch.org), or train with device = "cpu".'
        return Row(group=MACHINE, check="GPU", state="broken", finding=finding, next=next, figures=figures)
    finding, next = f"none; {on_cpu}", ""
    if driver is not None and cuda is None:
        finding = f"driver {driver} is there, but PyTorch {torch} is built without CUDA; {on_cpu}"
        next = "Install the CUDA build of the same PyTorch (pytorch.org)."
    elif driver is not None:
        finding = (
            f"PyTorch {torch} for CUDA {cuda} finds no GPU behind driver {driver}: {facts['error']}; {on_cpu}"
        )
        next = "Update the driver, or let the container see the GPU (docker run --gpus all)."
    return Row(group=MACHINE, check="GPU", state="optional", finding=finding, next=next, required=False)


def lz4_row() -> Row:
    """The filter of our array files, there and back."""
    next = reinstall(_requirement("hdf5plugin"))
    try:
        found = attempt("lz4")
    except ProbeError as error:
        return Row(group=TRIALS, check="lz4 in HDF5", state="broken", finding=str(error), next=next)
    figures = (("size ratio", round(found["ratio"], 2), "1"),)
    if not found["same"]:
        finding = "a depth image must come back as it was written, does not"
        return Row(
            group=TRIALS, check="lz4 in HDF5", state="broken", finding=finding, next=next, figures=figures
        )
    finding = f"a depth image came back as it was written, {found['ratio']:.1f} times smaller on disk"
    return Row(group=TRIALS, check="lz4 in HDF5", state="ok", finding=finding, figures=figures)


def body_row() -> Row:
    """The body that is shipped, and its licence."""
    try:
        found = attempt("body")
    except ProbeError as error:
        next = "Install bodytruth again, or restore pipeline/bodies/default_body.npz."
        return Row(group=TRIALS, check="default body", state="broken", finding=str(error), next=next)
    return Row(
        group=TRIALS,
        check="default body",
        state="ok",
        finding=f"{found['name']}, {found['vertices']} vertices, {found['betas']} betas; licence: {found['licence']}",
        figures=(("vertices", float(found["vertices"]), "1"), ("betas", float(found["betas"]), "1")),
    )


def smpl_row() -> Row:
    """SMPL is no part of this project, and nothing needs it."""
    return Row(
        group=OWN,
        check="SMPL body",
        state="optional",
        finding="not shipped (its licence is each user's to get), and nothing here needs it",
        next="With a file of yours: bodytruth convert-body SMPL_NEUTRAL.pkl (docs/bodies.md)",
        required=False,
    )


def data_root_row() -> Row:
    """Where real captures lie, if the environment says so."""
    told = os.environ.get(DATA_ROOT_VARIABLE)
    if not told:
        finding = f"{DATA_ROOT_VARIABLE} is not set; manifests of simulated people need none"
        next = f"For real captures: export {DATA_ROOT_VARIABLE}=FOLDER, or --data-root with each verb"
        return Row(group=OWN, check="data root", state="optional", finding=finding, next=next, required=False)
    folder = Path(told)
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        finding = f"{DATA_ROOT_VARIABLE} must name a folder that can be read, names {told}"
        return Row(
            group=OWN,
            check="data root",
            state="missing",
            finding=finding,
            next=f"Unset or mend {DATA_ROOT_VARIABLE}.",
        )
    entries = sum(1 for _ in folder.iterdir())
    figures = (("entries", float(entries), "1"),)
    return Row(
        group=OWN, check="data root", state="ok", finding=f"{entries} entries: {folder}", figures=figures
    )


def _requirement(library: str) -> Any:
    return next(requirement for requirement in requirements() if requirement.name == library)
