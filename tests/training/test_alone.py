"""What training needs: six libraries and the source tree."""

import os
import subprocess
import sys
from pathlib import Path

from training.checkpoint import newest
from training.run import load_run

ROOT = Path(__file__).resolve().parents[2]


def test_training_needs_six_libraries_alone(tiny, tiny_dataset, tmp_path):
    model = {"name": "depth-net", "options": {"width": 1 / 32, "levels": 4}}
    phases = [tiny.phase(steps=2, losses={"base": 1.0, "detail": 1.0, "composed": 15.0})]
    path = tiny.write_run(tmp_path, tiny_dataset, model=model, phases=phases)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("alone.py"), path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    folder = load_run(path).folder
    assert newest(folder).name == "step-0000002" and (folder / "best").is_dir()
    assert not (folder / "tensorboard").exists()
