"""A disk that is full or not ours: one sentence with the place, nothing half-written, and the same bytes later."""

import ctypes
import hashlib
import os
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.sealing import PART_MARK, read_record

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = {"ann": "train"}
LOCK_AND_HASHES_KB = 16  # that every build writes beside the data
STAGES = ("ingest", "foreground", "fuse", "render", "layers", "normals")


def data_bytes(out: Path) -> dict[str, str]:
    """sha256 of every data file; stage.json holds times and hosts and is no data."""
    files = [path for path in out.rglob("*") if path.is_file() and not path.is_symlink()]
    kept = [path for path in files if path.name not in ("stage.json", "build.lock", "raw-hashes.sqlite")]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


@pytest.fixture(scope="module")
def undisturbed(forge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    forge.capture(folder / "raw" / "ann")
    manifest = forge.manifest(folder, CAPTURES)
    ended = forge.run("build", manifest)
    assert ended.code == 0, ended.err + ended.out
    return folder, manifest, data_bytes(folder / "out")


def own_places() -> dict[str, str]:
    """The environment without what says where things lie."""
    return {key: value for key, value in os.environ.items() if not key.startswith("BODYTRUTH_")}


def run_bound(before: Callable[[], None], *words: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that `before` has bound; its children are bound with it."""
    command = [sys.executable, "-m", "tasks", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, env=own_places(), cwd=ROOT, preexec_fn=before, check=False
    )


def files_of_at_most(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def without_roots_rights() -> None:
    """Have the permissions of files hold for root too; they hold for everyone else anyway."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def require_one_clear_failure(code: int, out: str, err: str, place: Path, *, captures: int = 0) -> None:
    assert code == 4, out + err
    assert "Traceback" not in out + err and "Exception ignored" not in out + err
    (sentence,) = [line for line in (out + err).splitlines() if "must be" in line]
    assert str(place) in sentence and "must be writable with free space, is not" in sentence
    assert "Free the disk or choose another --out, and build again." in sentence
    if out:  # else not even the lock found room
        assert f"0 samples of {captures} captures sealed" in out and "1 tasks failed" in out


def require_nothing_half_written(out: Path) -> None:
    places = [*out.glob("*/stages/*/*/*"), *out.glob("*/versions/*")]
    assert [place for place in places if read_record(place) is None] == []
    assert [path for path in out.rglob("*") if PART_MARK in path.name] == []
    assert not (out / "spheres" / "dataset.json").exists()


def test_build_whose_writes_fail_says_where_and_ends_in_the_same_bytes(forge, undisturbed, tmp_path):
    source, manifest, expected = undisturbed
    out = tmp_path / "out"
    ended = run_bound(files_of_at_most(150_000), "build", manifest, "--out", out)  # ingest writes more
    require_one_clear_failure(ended.returncode, ended.stdout, ended.stderr, out / "spheres/stages/ingest")
    assert "File too large" in ended.stdout
    require_nothing_half_written(out)
    copy_stages(source / "out", out, STAGES)
    ended = forge.run("build", manifest, "--out", out)
    assert ended.code == 0, ended.out + ended.err
    assert data_bytes(out) == expected


SMALL_DISK = """
set -e
mount -t tmpfs -o size=100m tmpfs {disk}
cp -a {sealed}/. {disk}
used_kb=$(df -k --output=used {disk} | tail -1)
mount -o remount,size=$((used_kb + {room_kb}))k {disk}
set +e
{build} > {folder}/first.out 2> {folder}/first.err; echo $? > {folder}/first.code
cp -a {disk} {folder}/full
mount -o remount,size=100m {disk}
{build} > {folder}/second.out 2>&1; echo $? > {folder}/second.code
cp -a {disk} {folder}/roomy
"""


def may_mount(*words: str) -> bool:
    try:
        command = [*words, "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def in_private_mounts() -> list[str]:
    """Words that start a command with mounts of its own, which end with it."""
    for words in (["unshare", "-m"], ["unshare", "-rm"]):
        if may_mount(*words):
            return words
    pytest.skip("mounting a small disk of one's own is not permitted here")


def copy_stages(source: Path, out: Path, stages: tuple[str, ...]) -> None:
    """Bring sealed outputs from another output root, so that a build goes on behind them."""
    for stage in stages:
        shutil.copytree(source / "spheres/stages" / stage, out / "spheres/stages" / stage, dirs_exist_ok=True)


def kilobytes(folder: Path) -> int:
    """Room that the files of a folder take, rounded up to the blocks that they stand in."""
    return sum(-(-path.stat().st_size // 4096) * 4 for path in folder.rglob("*") if path.is_file())


def fill_and_make_room(
    undisturbed, tmp_path: Path, unshare: list[str], *, stages: tuple[str, ...], room_kb: int
) -> str:
    """Build where these stages are sealed and so much room is left, then with more; what the first one said."""
    source, manifest, expected = undisturbed
    folder = tmp_path / f"after-{len(stages)}-{room_kb}"
    disk, sealed = folder / "mounted", folder / "sealed"
    disk.mkdir(parents=True)
    sealed.mkdir()
    copy_stages(source / "out", sealed, stages)
    build = shlex.join([sys.executable, "-m", "tasks", "build", str(manifest), "--out", str(disk)])
    script = SMALL_DISK.format(disk=disk, folder=folder, sealed=sealed, room_kb=room_kb, build=build)
    subprocess.run([*unshare, "sh", "-c", script], check=True, cwd=ROOT, env=own_places())
    assert (folder / "second.code").read_text().strip() == "0", (folder / "second.out").read_text()
    assert data_bytes(folder / "roomy") == expected
    assert not [path for path in (folder / "roomy").rglob("*") if PART_MARK in path.name]
    said, err = (folder / "first.out").read_text(), (folder / "first.err").read_text()
    code = int((folder / "first.code").read_text())
    require_one_clear_failure(code, said, err, disk, captures=int(stages == STAGES))
    require_nothing_half_written(folder / "full")
    return said


def test_build_on_a_full_disk_goes_on_when_there_is_room(undisturbed, tmp_path, in_private_mounts):
    said = fill_and_make_room(undisturbed, tmp_path, in_private_mounts, stages=STAGES, room_kb=400)
    assert "shards:" in said and "No space left on device" in said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_disk_that_fills_up_in_any_stage_loses_nothing(undisturbed, tmp_path, in_private_mounts):
    # Room that ends before, inside and after each write, as shares of what is still to be written.
    spheres = undisturbed[0] / "out/spheres"
    (version,) = (spheres / "versions").iterdir()
    without_report_kb = kilobytes(version) - kilobytes(version / "report") + LOCK_AND_HASHES_KB

    def rest_kb(sealed: int) -> int:
        return sum(kilobytes(spheres / "stages" / stage) for stage in STAGES[sealed:]) + kilobytes(version)

    cases = [(STAGES, 0), ((), 80), ((), 280), ((), 450)]
    cases += [(STAGES[:2], int(share * rest_kb(2))) for share in (0.17, 0.95)]
    cases += [(STAGES[:3], int(share * rest_kb(3))) for share in (0.03, 0.18, 0.83, 0.9, 0.95)]
    cases += [(STAGES, without_report_kb * 9 // 10)]
    cases += [(STAGES, without_report_kb + share * kilobytes(version / "report") // 10) for share in (1, 6)]
    failed = set[str]()
    for stages, room_kb in cases:
        said = fill_and_make_room(undisturbed, tmp_path, in_private_mounts, stages=stages, room_kb=room_kb)
        failed |= {line.split()[0].strip(":") for line in said.splitlines() if "must be" in line}
    assert failed >= {"ingest", "foreground", "fuse", "render", "shards", "report"}


@pytest.mark.parametrize("verb", ["build", "verify"])
def test_output_root_that_cannot_be_made_is_one_sentence(forge, undisturbed, tmp_path, verb):
    (tmp_path / "taken").write_text("a file stands here")
    ended = forge.run(verb, undisturbed[1], "--out", tmp_path / "taken")
    assert ended.code == 4 and ended.out == "" and len(ended.err.splitlines()) == 1
    assert (
        f"{tmp_path / 'taken'}/spheres: must be writable" in ended.err and "choose another --out" in ended.err
    )
    assert (tmp_path / "taken").read_text() == "a file stands here"


def test_output_folder_that_may_not_be_written_is_one_sentence(undisturbed, tmp_path):
    tmp_path.chmod(0o555)
    ended = run_bound(without_roots_rights, "build", undisturbed[1], "--out", tmp_path / "out")
    assert ended.returncode == 4 and len(ended.stderr.splitlines()) == 1
    assert f"{tmp_path / 'out'}/spheres: must be writable" in ended.stderr
    assert "Permission denied" in ended.stderr
    tmp_path.chmod(0o755)
    assert list(tmp_path.iterdir()) == []


def test_dataset_that_may_only_be_read_is_still_shown(undisturbed, tmp_path):
    folder = tmp_path / "shared"
    shutil.copytree(undisturbed[0] / "out", folder, symlinks=True)
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    ended = run_bound(without_roots_rights, "status", undisturbed[1], "--out", folder, "--json")
    assert ended.returncode == 0 and '"ok": true' in ended.stdout, ended.stderr
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    folder.chmod(0o755)


def test_raw_file_that_may_not_be_read_is_a_row_and_the_rest_is_built(forge, undisturbed, tmp_path):
    folder = tmp_path / "closed"
    shutil.copytree(undisturbed[0] / "raw", folder / "raw")
    manifest = forge.manifest(folder, CAPTURES)
    closed = folder / "raw" / "ann" / "002.depth.png"
    closed.chmod(0)
    ended = run_bound(without_roots_rights, "check", manifest)
    assert ended.returncode == 3 and ended.stdout.splitlines()[-1].split() == ["ann", "3", "2"], ended.stderr
    assert f"unreadable-depth: {closed}" in ended.stdout and "Check its rights" in ended.stdout
    ended = run_bound(without_roots_rights, "plan", manifest)
    assert ended.returncode == 0, ended.stderr
