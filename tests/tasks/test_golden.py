"""Every stage's answer on three tiny captures, held against the one stored for its VERSION.

`python tests/tasks/test_golden.py` stores the answers of now where they are not the golden ones.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from pipeline.captures.truth import read_truth
from pipeline.meshes import read_ply
from pipeline.scan_files import read_portrayable
from pipeline.store import FrameReader
from tasks.graph import all_tasks
from tasks.planning import differences

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
COMMAND = "python tests/tasks/test_golden.py"
# Two of its four frames see too little and are quarantined.
PERSON = (
    '[[capture]]\nid = "person"\nformat = "simulated"\ncount = 4\nforeground = "given"\nsplit = "train"\n'
    '[[capture]]\nid = "statue"\nformat = "simulated"\nrole = "scan"\ncount = 2\nsplit = "val"\n'
    "[stages.portray]\nsamples = 4\n"
    '[stages.render]\nmin_mask_px = 372\n[stages.layers]\nwindow_px = "full"\n'
)
# In building order: of several that moved, the first is the one to look at.
STAGES = [
    "simulate", "scan", "ingest", "foreground", "fuse", "render", "portray", "layers", "normals", "truth", "shards",
]  # fmt: skip

# Another processor rounds sums and fused multiplications otherwise: in metres that stays far below these.
# Raw millimetres, signs of the distance field and silhouettes that stand on an edge fall to its other side
# now and then, so a small share of an image may differ by anything.
CLOSE = {"float32": 1e-5, "float64": 1e-9, "uint8": 2, "uint16": 0, "int32": 0, "bool": 0}
WIDER = {
    "normal": 1e-4,  # depths that differ by 1e-6 m over neighbours of 1e-2 m
    "normal_rendered": 1e-4,
    "fused_residual_m": 1e-4,  # a median is good to one bin of 0.1 mm
    "fused_coverage": 1e-3,  # a few silhouette pixels of some 10,000
    "truth_normal_error_rad": 1e-3,  # the median steps from pixel to pixel
    "mesh_size": 2e-3,  # logarithms, so that this is a share
    "mesh_vertices": 1e-5,  # distances between float64 vertices that were float32
}
EDGE_SHARE = 0.01
# Quantiles are good to one bin of their histogram.
FIGURE_BIN = {
    "fuse": 1e-4,
    "render": 1e-6,
    "portray": 1e-6,
    "layers": 1e-4,
    "normals": np.pi / 3600,
    "truth": 1e-5,
}
FIGURE_SHARE = 0.02
VOLATILE = {"fingerprint", "generator", "bytes", "sha256", "stages", "stats", "raw", "value", "message"}

Answer = dict[str, np.ndarray]
Answers = Mapping[str, Answer]


def build(forge: Any, folder: Path) -> dict[str, Answer]:
    """Build a sphere, a simulated person and a drawn scan; return every stage's answer."""
    forge.capture(folder / "raw" / "ball")
    manifest = forge.manifest(folder, {"ball": "test"}, PERSON)
    ended = forge.run("build", manifest)
    assert ended.code == 0, ended.err + ended.out
    return {stage: answer(folder / "out" / "spheres", stage, recipe(manifest, stage)) for stage in STAGES}


def recipe(manifest: Path, stage: str) -> dict[str, Any]:
    """VERSION and settings of a stage and of all that it stands on."""
    tasks = list(all_tasks(str(manifest)))
    names = {stage}
    for task in reversed(tasks):
        names |= {above.NAME for above in task.upstream().values()} if task.NAME in names else set()
    of = tasks[0].loaded().stages.of
    return {task.NAME: {"VERSION": task.VERSION, **of(task.NAME)} for task in tasks if task.NAME in names}


def answer(dataset: Path, stage: str, recipe: dict[str, Any]) -> Answer:
    """Arrays and JSON texts by name; images thinned out, what is of the machine left out."""
    found: Answer = {"recipe": text(recipe)}
    if stage == "shards":
        return found | {"index": text(index(dataset))}
    for place in sorted(dataset.glob(f"stages/{stage}/*/*")):
        record = json.loads((place / "stage.json").read_text())
        left_out = [[row["frame"], row["reason"]] for row in record["quarantine"]]
        parts = {
            "figures": text({name: stat["value"] for name, stat in record["stats"].items()}),
            "frames": text({"samples": record["samples"], "quarantined": left_out}),
            **frame_fields(place),
            **mesh(place),
            **raw_images(place),
            **truth(place),
            **surface(place),
        }
        found |= {f"{place.parent.name}.{name}": array for name, array in parts.items()}
    return found


def frame_fields(place: Path) -> Answer:
    for path in place.glob("frames.h5"):
        with FrameReader(path) as reader:
            return {name: thinned(reader.column(name)) for name in reader.fields}
    return {}


def mesh(place: Path) -> Answer:
    for path in place.glob("*.ply"):
        vertices, faces, _ = read_ply(path)
        a, b, c = vertices[faces].swapaxes(0, 1)
        area_m2 = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
        return {"mesh_size": np.log([len(vertices), len(faces), area_m2]), "mesh_vertices": vertices}
    return {}


def raw_images(place: Path) -> Answer:
    """What the simulator's camera wrote; another orbit shows in the depth."""
    paths = {name: sorted(place.glob(f"raw/{name}/*")) for name in ("depth", "color", "mask")}
    return {
        f"raw_{name}": thinned(np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in found]))
        for name, found in paths.items()
        if found
    }


def index(dataset: Path) -> dict[str, Any]:
    """dataset.json, and what its shards hold; what stands for content or machine is blank."""
    found: dict[str, Any] = json.loads((dataset / "dataset.json").read_text())
    for shard in found["shards"]:
        with FrameReader(dataset / shard["path"]) as reader:
            shard["holds"] = [reader.fields, sorted(reader.attributes)]
    for row in (found, *found["shards"], *found["captures"].values(), *found["quarantine"]):
        row |= {key: "" for key in VOLATILE & set(row)}
    return found


def truth(place: Path) -> Answer:
    """What a simulated person is and where its cameras stand."""
    if not (place / "raw" / "truth").is_dir():
        return {}
    known = read_truth(place / "raw" / "truth")
    return {
        "true_places": known.vertices_m(known.frames[0])[::40],
        "true_pose": known.pose_rad,
        "true_cameras": known.world_from_color,
        "true_rgb": known.vertex_rgb[::40],
    }


def surface(place: Path) -> Answer:
    """What a scan is a surface of."""
    if not (place / "scan.npz").is_file():
        return {}
    found = read_portrayable(place / "scan.npz")
    assert found.body is not None
    return {
        "scan_places": found.vertices_m[::40],
        "scan_rgb": found.vertex_rgb[::40],
        "scan_below": found.body.body_face[::40],
        "scan_joints": found.body.joints_m,
    }


def thinned(samples: np.ndarray) -> np.ndarray:
    """A grid of some 24 x 24 pixels of images (N H W ...); everything of what is smaller."""
    step = samples.shape[1] // 24 if samples.ndim > 2 else 0
    return samples[:, step // 2 :: step, step // 2 :: step] if step else samples


def text(value: Any) -> np.ndarray:
    return np.array(json.dumps(value, sort_keys=True))


def read(part: np.ndarray) -> Any:
    return json.loads(str(part))


def judge(stage: str, answers: Answers, golden: Answers) -> str | None:
    """What is wrong with a stage's golden output and what to do; None where it is the answer of now."""
    if stage not in golden:
        return f"{stage}: must have a golden output, has none. Run `{COMMAND}`."
    changed = differences(read(golden[stage]["recipe"]), read(answers[stage]["recipe"]))
    if changed:
        return (
            f"{stage}: the golden output must be of the VERSION and settings of now, {'; '.join(changed)}. "
            f"Look at what moved, then run `{COMMAND}`."
        )
    for name in [name for name in STAGES if name in read(answers[stage]["recipe"]) and name in golden]:
        moved = moved_parts(name, answers[name], golden[name])
        if moved:
            return (
                f"{stage}: the answer must be the golden one, the answer of {name} moved under its old VERSION "
                f"({'; '.join(moved)}). If that is meant, raise VERSION of {name}, then run `{COMMAND}`."
            )
    return None


def moved_parts(stage: str, new: Answer, old: Answer) -> list[str]:
    """One clause for each part of a stage's answer that is another than before."""
    clauses = [f"{name} came or went" for name in sorted(set(new) ^ set(old))]
    for name in sorted(set(new) & set(old) - {"recipe"}):
        field = name.partition(".")[2]
        if new[name].dtype.kind == "U":
            clause = moved_text(stage, field, read(new[name]), read(old[name]))
        else:
            clause = moved_array(field, new[name], old[name])
        clauses += [f"{name} {clause}"] if clause else []
    return clauses


def moved_text(stage: str, field: str, new: dict[str, Any], old: dict[str, Any]) -> str:
    if field == "figures":
        known = {name for name, value in new.items() if None not in (value, old.get(name))}
        room = {name: 1.5 * FIGURE_BIN.get(stage, 1e-9) + FIGURE_SHARE * abs(old[name]) for name in known}
        new = {**new, **{name: old[name] for name in known if abs(new[name] - old[name]) <= room[name]}}
    return ", ".join(differences(old, new))


def moved_array(field: str, new: np.ndarray, old: np.ndarray) -> str:
    edges = EDGE_SHARE if new.ndim > 2 else 0  # what is smaller than an image has none
    if field == "mesh_vertices":  # their order turns on last bits
        new, old, edges = cKDTree(new).query(old)[0], np.zeros(len(old)), EDGE_SHARE
    if (new.shape, new.dtype) != (old.shape, old.dtype):
        return f"is {new.dtype} {new.shape}, was {old.dtype} {old.shape}"
    close = WIDER.get(field, CLOSE[new.dtype.name])
    share = float(np.mean(np.abs(new.astype(np.float64) - old) > close))
    return f"differs in {share:.2%} of its values" if share > edges else ""


def stored() -> dict[str, Answer]:
    found = {}
    for path in sorted(GOLDEN.glob("*.npz")):
        with np.load(path, allow_pickle=False) as file:
            found[path.stem] = dict(file)
    return found


def regenerate() -> None:
    """Store each answer of now in place of a golden one that it is not; leave the others' bytes alone."""
    sys.path.insert(0, str(GOLDEN.parent))
    from conftest import Forge

    golden = stored()
    with tempfile.TemporaryDirectory() as folder:
        answers = build(Forge(), Path(folder))
    for stage, new in answers.items():
        old = golden.get(stage, {"recipe": text({})})
        if read(old["recipe"]) == read(new["recipe"]) and not moved_parts(stage, new, old):
            continue
        # Of a mesh some 400 vertices will do.
        few = {name: part[:: len(part) // 400] if "vertices" in name else part for name, part in new.items()}
        np.savez_compressed(GOLDEN / f"{stage}.npz", **few)
        sys.stdout.write(f"stored the answer of {stage}\n")


@pytest.fixture(scope="module")
def answers(forge, tmp_path_factory) -> dict[str, Answer]:
    return build(forge, tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def golden() -> dict[str, Answer]:
    return stored()


@pytest.mark.parametrize("stage", STAGES)
def test_answer_is_the_golden_one_of_its_version(answers, golden, stage):
    problem = judge(stage, answers, golden)
    assert problem is None, problem


def test_every_stage_that_makes_data_has_a_small_golden_output(answers):
    assert "truth: must have a golden output" in str(judge("truth", answers, {}))
    assert {path.stem for path in GOLDEN.iterdir()} == set(STAGES)
    assert max(path.stat().st_size for path in GOLDEN.iterdir()) < 100_000
    # All stages of the graph but the report, which is a page about data.
    assert set(read(answers["shards"]["recipe"])) == set(STAGES)


def planted(golden: Answers, stage: str, part: str, change: Callable[[Any], Any]) -> dict[str, Answer]:
    """The golden answers with one part changed: an array, or what a JSON text holds."""
    old = golden[stage][part]
    new = text(change(read(old))) if old.dtype.kind == "U" else change(old)
    return {**golden, stage: {**golden[stage], part: new}}


def test_last_bits_and_a_few_edge_pixels_pass(golden):
    def otherwise_rounded(depth_m: np.ndarray) -> np.ndarray:
        noise_m = np.random.default_rng(0).uniform(-1e-6, 1e-6, depth_m.shape)
        other = np.where(depth_m > 0, depth_m + noise_m, 0).astype(np.float32)
        other.reshape(-1)[::200] = 0
        return other

    assert judge("render", planted(golden, "render", "ball.depth_m", otherwise_rounded), golden) is None


@pytest.mark.parametrize(
    ("stage", "part", "change"),
    [
        ("render", "ball.depth_m", lambda old: old * np.float32(1.0001)),
        ("layers", "ball.detail_m", lambda old: old * np.float32(1.01)),
        ("layers", "person.detail_m", lambda old: old.swapaxes(1, 2)),
        ("layers", "person.frame", lambda old: old + np.int32(1)),
        ("normals", "ball.normal", lambda old: -old),
        ("simulate", "person.true_places", lambda old: old + np.float32(1e-4)),
        ("scan", "statue.scan_places", lambda old: old + np.float32(1e-4)),
        ("portray", "statue.part24", lambda old: old[..., ::-1]),
        ("fuse", "ball.figures", lambda old: {**old, "fused coverage": 0.9}),
        ("shards", "index", lambda old: {**old, "schema": "2.0"}),
    ],
)
def test_answer_that_moved_asks_to_raise_its_version(golden, stage, part, change):
    problem = judge(stage, planted(golden, stage, part, change), golden)
    assert problem and f"raise VERSION of {stage}" in problem and part in problem


def test_answer_that_moved_because_of_a_stage_above_names_that_stage(golden):
    render = planted(golden, "render", "ball.depth_m", lambda old: old + np.float32(0.01))
    both = planted(render, "layers", "ball.detail_m", lambda old: old + np.float32(0.01))
    assert "raise VERSION of render" in str(judge("layers", both, golden))
    assert judge("fuse", both, golden) is None


@pytest.mark.parametrize(
    ("key", "old", "new"), [("fuse.VERSION", 3, 9), ("layers.VERSION", 2, 9), ("render.min_mask_px", 372, 7)]
)
def test_raised_version_or_changed_default_asks_for_another_golden_output(golden, key, old, new):
    stage, name = key.split(".")
    changed = planted(golden, "layers", "recipe", lambda old: {**old, stage: {**old[stage], name: new}})
    problem = str(judge("layers", changed, golden))
    assert f"{key} {old} -> {new}" in problem and f"run `{COMMAND}`" in problem


if __name__ == "__main__":
    regenerate()
