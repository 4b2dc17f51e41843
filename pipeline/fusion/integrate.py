"""All views of a capture as one triangle mesh, by way of a truncated signed distance volume."""

from dataclasses import dataclass

from pipeline.errors import GateError
from pipeline.fusion import Views, clip_depth
from pipeline.fusion.marching import FusedMesh, mesh_of
from pipeline.fusion.mesh_parts import simplified
from pipeline.fusion.volume import Volume
from pipeline.meshes import keep_components


@dataclass(frozen=True, kw_only=True, slots=True)
class FuseOptions:
    """What most captures leave as it is.

    Attributes:
        limit_gb: 10^9 bytes that the volume may take.
        band_sigmas: the band reaches at least that many standard deviations of the depth, up to 3 trunc_m.
        with_colour: average the views' rgb too.
        min_component_faces: what hangs together in fewer faces is left out.
        max_faces: the mesh is simplified to about that many; 0 leaves it as it is.
    """

    limit_gb: float = 8.0
    band_sigmas: float = 0.0
    with_colour: bool = False
    min_component_faces: int = 1
    max_faces: int = 0


NO_OPTIONS = FuseOptions()


def fuse(
    views: Views,
    *,
    voxel_m: float,
    trunc_m: float,
    depth_min_m: float,
    depth_max_m: float,
    min_weight: float,
    block_count: int = 0,
    options: FuseOptions = NO_OPTIONS,
) -> FusedMesh:
    """Average all views into one volume and take out its surface.

    Views may be of several cameras: each is taken with its own K and pose.

    Args:
        views: depth is used where it lies in [depth_min_m, depth_max_m]; one view is held at a time.
        voxel_m: the surface follows no detail much finer than this.
        trunc_m: how far the band reaches before the surface; at least two voxels. Wider bridges noise and
            pose errors, and swallows what is thinner.
        min_weight: surface whose voxels were seen by fewer frames is left out; counts end at 255.
        block_count: blocks to make room for at the start, those of `estimate_volume`; the volume grows by
            itself beyond it.

    Raises:
        ValueError: if trunc_m < 2 voxel_m: without a voxel on both sides no surface can be found.
        GateError: `no-surface` where no depth lies in range or nothing was seen often enough.
        StageError: where the volume would outgrow its limit.
    """
    volume = Volume(
        voxel_m=voxel_m,
        trunc_m=trunc_m,
        limit_gb=options.limit_gb,
        with_colour=options.with_colour,
        reserve=block_count,
        band_sigmas=options.band_sigmas,
    )
    for index in range(len(views)):
        volume.integrate(clip_depth(views[index], depth_min_m, depth_max_m))
    if volume.blocks == 0:
        raise _no_surface(f"no depth lies in [{depth_min_m:g}, {depth_max_m:g}] m", min_weight)
    mesh = volume.mesh(min_weight=min_weight)
    if not len(mesh.faces):
        raise _no_surface("no voxels on both sides of a surface were seen often enough", min_weight)
    least, most = options.min_component_faces, options.max_faces
    mesh = mesh_of(*keep_components(mesh.vertices, mesh.faces, *mesh.attributes, min_faces=least))
    if not len(mesh.faces):
        raise _no_surface(f"none of its parts has {least} faces", min_weight)
    return simplified(mesh, most) if 0 < most < len(mesh.faces) else mesh


def _no_surface(finding: str, min_weight: float) -> GateError:
    return GateError(
        "no-surface",
        f"fuse: the frames must share a surface, {finding} (min_weight {min_weight:g} frames). Check poses, "
        "stages.fuse.depth_min_m, depth_max_m and min_weight.",
        value=0.0,
        unit="faces",
        limit=1.0,
    )
