"""A body that can be posed: shape, pose and place to vertices and joints, in numpy and in torch.

Loper et al., "SMPL", SIGGRAPH Asia 2015, eq. (2) to (10), without the regressor: joints are linear in the
betas by themselves. Vertices are skinned once, from the pose in which the template stands (the bind pose),
so a template in an A-pose bends its shoulders once and not twice.
Body frame: +Y up, facing +Z, the subject's left at +X, metres. The zero pose is SMPL's T-pose.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.body_file import JOINTS, BodyArrays, read_body
from pipeline.bodies.skinning import joint_transforms, rotation_matrices

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array")
DEFAULT_BODY = Path(__file__).with_name("default_body.npz")


@dataclass(frozen=True, kw_only=True, slots=True)
class Posed(Generic[Array]):
    """Bodies in their poses.

    Attributes:
        vertices_m: (B V 3).
        joints_m: (B 24 3).
    """

    vertices_m: Array
    joints_m: Array


class Body:
    """A body model: numpy arrays in, numpy arrays out; torch tensors in, differentiable tensors out.

    Attributes:
        arrays: what the body's file holds.
        faces: (F 3) int32, outward.
        betas: how many shape components there are.
    """

    def __init__(self, arrays: BodyArrays) -> None:
        self.arrays = arrays
        self.faces = arrays.faces
        self.betas = arrays.shape_dirs_m.shape[2]
        self._tables: dict[tuple[Any, ...], Any] = {}

    @overload
    def posed(
        self,
        pose_rad: NDArray[Any],
        betas: NDArray[Any],
        transl_m: NDArray[Any],
        *,
        scales: NDArray[Any] | None = None,
    ) -> Posed[NDArray[Any]]: ...

    @overload
    def posed(
        self,
        pose_rad: "Tensor",
        betas: "Tensor",
        transl_m: "Tensor",
        *,
        scales: "Tensor | None" = None,
    ) -> "Posed[Tensor]": ...

    def posed(self, pose_rad: Any, betas: Any, transl_m: Any, *, scales: Any | None = None) -> Posed[Any]:
        """Pose a batch of bodies.

        Args:
            pose_rad: (B 24 3) axis-angle rotation of each joint relative to its parent, about the zero
                pose's axes; its dtype, float32 or float64, is the result's.
            betas: (B K) or (K,) shape in standard deviations; components beyond K are 0.
            transl_m: (B 3) or (3,), added to everything.
            scales: (B 24) sizes of the segments about their joints; see `pipeline.bodies.scales`.

        Raises:
            ValueError: if a shape or a dtype does not fit.
        """
        _check(pose_rad, "pose_rad", [(JOINTS, 3)], batch=len(pose_rad))
        _check(betas, "betas", [(count,) for count in range(self.betas + 1)], batch=len(pose_rad))
        _check(transl_m, "transl_m", [(3,)], batch=len(pose_rad))
        if scales is not None:
            _check(scales, "scales", [(JOINTS,)], batch=len(pose_rad))
        if isinstance(pose_rad, np.ndarray):
            return self._pose_numpy(pose_rad, betas, transl_m, scales)
        from pipeline.bodies.model_torch import pose_torch, torch_tables

        key = (pose_rad.dtype, pose_rad.device)
        if key not in self._tables:
            self._tables[key] = torch_tables(self.arrays, *key)
        vertices_m, joints_m = pose_torch(self._tables[key], pose_rad, betas, transl_m, scales)
        return Posed(vertices_m=vertices_m, joints_m=joints_m)

    def at_vertices(self, rows: NDArray[np.integer[Any]]) -> "Body":
        """Return the body with these vertices alone and no faces: joints and landmarks at little cost."""
        arrays = self.arrays
        return Body(
            replace(
                arrays,
                template_m=arrays.template_m[rows],
                shape_dirs_m=arrays.shape_dirs_m[rows],
                pose_dirs_m=None if arrays.pose_dirs_m is None else arrays.pose_dirs_m[rows],
                weights=arrays.weights[rows],
                weight_joints=arrays.weight_joints[rows],
                faces=np.zeros((0, 3), dtype=np.int32),
                uv=None,
                uv_faces=None,
                landmarks={},
            )
        )

    def _pose_numpy(
        self, pose_rad: NDArray[Any], betas: NDArray[Any], transl_m: NDArray[Any], scales: NDArray[Any] | None
    ) -> Posed[NDArray[Any]]:
        from pipeline.bodies.model_kernels import skin

        dtype = pose_rad.dtype
        if (dtype,) not in self._tables:
            self._tables[(dtype,)] = _in_dtype(self.arrays, dtype)
        arrays: BodyArrays = self._tables[(dtype,)]
        rows = np.atleast_2d(betas).astype(dtype, copy=False)
        rotations = rotation_matrices(pose_rad, np)
        joints_m = arrays.joints_m + _blend(rows, arrays.joint_dirs_m)
        linear, placed_m = joint_transforms(
            rotations,
            joints_m,
            zero_from_bind=arrays.bind_rotation.transpose(0, 2, 1),
            parents=arrays.parents.tolist(),
            scales=scales,
            xp=np,
        )
        placed_m = placed_m + transl_m.astype(dtype, copy=False).reshape(-1, 1, 3)
        bind_m = arrays.template_m + _blend(rows, arrays.shape_dirs_m)
        if arrays.pose_dirs_m is not None:
            turns = (rotations[:, 1:] - np.eye(3, dtype=dtype)).reshape(len(rotations), -1)
            bind_m = bind_m + _blend(turns, arrays.pose_dirs_m)
        vertices_m = skin(
            bind_m,
            arrays.weight_joints,
            arrays.weights,
            linear=linear,
            shift_m=placed_m - (linear @ joints_m[..., None])[..., 0],
        )
        return Posed(vertices_m=vertices_m, joints_m=placed_m)


@cache
def default_body() -> Body:
    """Return the open body that every machine has; read once per process."""
    return Body(read_body(DEFAULT_BODY))


def _blend(coefficients: NDArray[Any], dirs_m: NDArray[Any]) -> NDArray[Any]:
    """Sum directions (N 3 K) by coefficients (B k), k <= K, to (B N 3); the directions lie as (K N 3)."""
    rows = np.moveaxis(dirs_m, 2, 0)[: coefficients.shape[1]]
    flat = coefficients @ rows.reshape(len(rows), 3 * rows.shape[1])
    return np.asarray(flat.reshape(len(coefficients), *rows.shape[1:]))


def _in_dtype(arrays: BodyArrays, dtype: Any) -> Any:
    """Return the body's numbers in one dtype, directions with the component outermost in memory."""

    def directions(dirs_m: NDArray[Any]) -> NDArray[Any]:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(dirs_m, 2, 0), dtype=dtype), 0, 2)

    return replace(
        arrays,
        template_m=arrays.template_m.astype(dtype),
        shape_dirs_m=directions(arrays.shape_dirs_m),
        pose_dirs_m=None if arrays.pose_dirs_m is None else directions(arrays.pose_dirs_m),
        joints_m=arrays.joints_m.astype(dtype),
        joint_dirs_m=directions(arrays.joint_dirs_m),
        bind_rotation=arrays.bind_rotation.astype(dtype),
        weights=arrays.weights.astype(dtype),
    )


def _check(values: Any, name: str, tails: list[tuple[int, ...]], *, batch: int) -> None:
    shape = tuple(values.shape)
    wanted = " or ".join(map(str, tails[-2:]))
    alone = shape in tails and name in ("betas", "transl_m")
    if not alone and not (shape[:1] == (batch,) and shape[1:] in tails):
        raise ValueError(f"pipeline.bodies.model: {name} must be ({batch}, ...) with {wanted}, is {shape}")
    if not str(values.dtype).endswith(("float32", "float64")):
        raise ValueError(f"pipeline.bodies.model: {name} must be float32 or float64, is {values.dtype}")
