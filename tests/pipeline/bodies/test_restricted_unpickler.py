"""A pickle is read as the usual machine reads it where it is plain; a hostile one is refused and nothing is run."""

import importlib.util
import json
import pickle  # noqa: TID251  the usual machine, to hold ours against
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.bodies import smpl_files
from pipeline.bodies.restricted_unpickler import RefusedPickle, unpickle
from pipeline.bodies.smpl_objects import NAMES, array_of, smpl_arrays

SPEC = importlib.util.spec_from_file_location("smpl_like", Path(__file__).with_name("smpl_like.py"))
assert SPEC and SPEC.loader
like = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(like)

WHOLE = like.smpl_1_0(like.smpl_arrays())
ARMED = sorted(like.armed_files(Path("canary")))
INERT = like.inert_files(WHOLE)


# what a pickle describes

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(st.text() | st.integers(0, 9), inner),
        st.tuples(inner).map(lambda items: [items[0], items[0]]),  # the same object twice
    ),
    max_leaves=15,
)


@given(value=plain, protocol=st.integers(0, 5))
@settings(max_examples=100)
def test_plain_values_are_read_as_the_usual_machine_reads_them(value, protocol):
    content = pickle.dumps(value, protocol)
    assert unpickle(content, {}) == pickle.loads(content) == value


@given(
    array=hnp.arrays(
        st.sampled_from(["?", "<i1", ">u2", "<i4", ">f4", "<f8", "<u8"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
    protocol=st.integers(0, 5),
    fortran=st.booleans(),
)
@settings(max_examples=100)
def test_numpys_own_pickles_give_the_same_arrays(array, protocol, fortran):
    array = np.array(array, order="F" if fortran else "C")
    if array.size == 0 and protocol < 3:
        return  # python 3 then writes its empty bytes by a call that no file of SMPL has
    back = array_of(unpickle(pickle.dumps(array, protocol), NAMES))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize("protocol", [0, 1, 2])
@pytest.mark.parametrize("betas", [10, 300])
def test_arrays_of_a_python_2_file_with_chumpy_come_back_exactly(protocol, betas):
    arrays = like.smpl_arrays(betas=betas)
    back = smpl_arrays(like.smpl_1_0(arrays, protocol))
    assert back.keys() == arrays.keys()
    for key, array in arrays.items():
        assert back[key].dtype == array.dtype and np.array_equal(back[key], array), key


def test_matrix_of_scipy_itself_comes_back_dense():
    from scipy.sparse import csc_matrix

    dense = np.random.default_rng(1).choice([0.0, 0.0, 1.5], (7, 9))
    back = array_of(unpickle(pickle.dumps(csc_matrix(dense), 4), NAMES))
    assert np.array_equal(back, dense)


@given(data=st.data())
@settings(max_examples=150)
def test_damaged_pickle_gives_a_sentence_or_arrays_and_nothing_else(data):
    arrays = {"v_template": np.arange(6.0).reshape(2, 3), "f": np.array([[0, 1, 2]], np.uint32)}
    whole = bytearray(like.python2_pickle({**arrays, "J_regressor": like.Ch(x=arrays["v_template"])}, 2))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = smpl_arrays(bytes(whole))
    except ValueError as error:
        assert str(error)
    else:
        assert all(array.dtype.kind in "biuf" for array in back.values())


# hostile files


@pytest.mark.parametrize("what", ARMED)
def test_file_that_would_run_something_is_refused_for_what_it_asks(tmp_path, what):
    with pytest.raises(RefusedPickle, match="must name arrays|must hold arrays and plain values"):
        smpl_arrays(like.armed_files(tmp_path / "canary")[what])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", INERT)
def test_file_that_is_damaged_or_greedy_is_refused(what):
    with pytest.raises(ValueError, match="must"):
        smpl_arrays(INERT[what])


def test_long_integer_is_refused_as_such():
    assert unpickle(pickle.dumps((1 << 71) - 1, 2), {}) == (1 << 71) - 1
    with pytest.raises(RefusedPickle, match="integers of at most 9 bytes, holds one of 10"):
        unpickle(pickle.dumps(1 << 71, 2), {})


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("idxs", [0, 3], "pick entries 0 to 2"),
        ("idxs", [0, -1], "pick entries 0 to 2"),
        ("idxs", [0.0, 1.0], "pick entries 0 to 2"),
        ("preferred_shape", (3,), "pick as many entries"),
        ("indices", [0, 1, 2], "indices fit its shape"),
        ("indices", [0, 1, -1], "indices fit its shape"),
        ("indptr", [0, 4, 3], "indices fit its shape"),
        ("indptr", [1, 2, 3], "indices fit its shape"),
        ("_shape", (2, 3), "indices fit its shape"),
        ("_shape", (1 << 20, 1 << 20), "a matrix of at most 1024 MiB"),
    ],
)
def test_node_or_matrix_that_points_outside_is_refused(part, value, words):
    chosen = like.Select(a=like.Ch(x=np.arange(3.0)), idxs=np.array([2, 0]), preferred_shape=(2,))
    matrix = like.csc_matrix(np.array([[1.0, 0], [2, 3]]))
    whole = chosen if part in vars(chosen) else matrix
    assert array_of(unpickle(like.python2_pickle(whole, 2), NAMES)).tolist() in ([2, 0], [[1, 0], [2, 3]])
    setattr(whole, part, np.array(value) if isinstance(value, list) else value)
    with pytest.raises(ValueError, match=words):
        array_of(unpickle(like.python2_pickle(whole, 2), NAMES))


def test_every_hostile_file_is_refused_by_the_process_and_it_runs_nothing(tmp_path):
    # All in one process: were one of them to end it, or to run anything, those after it would miss.
    canary = tmp_path / "canary"
    files = {**like.armed_files(canary), **INERT}
    for number, content in enumerate(files.values()):
        (tmp_path / f"{number:02d}.pkl").write_bytes(content)
    code = (
        "import sys; from pathlib import Path; from pipeline.bodies.smpl_pickle_process import main\n"
        "for file in sys.argv[1:]:\n"
        "    code = main(Path(file), Path(file + '.npz')); print(f' {code}')\n"
    )
    paths = sorted(map(str, tmp_path.glob("*.pkl")))
    ended = subprocess.run(
        [sys.executable, "-c", code, *paths],
        capture_output=True,
        text=True,
        env=smpl_files._environment(),
        check=True,
    )
    answers = ended.stdout.splitlines()
    assert len(answers) == len(files) >= 50 and all(answer.endswith("} 3") for answer in answers)
    reasons = [json.loads(answer[:-2])["reason"] for answer in answers]
    assert reasons[: len(ARMED)] == ["body-unsafe"] * len(ARMED)
    assert set(reasons) == {"body-unsafe", "body-malformed"}
    assert sorted(map(str, tmp_path.iterdir())) == paths


def test_canaries_of_the_armed_files_are_alive(tmp_path):
    # What the tests above look for does appear when the usual machine reads the same files.
    code = (
        "import io, pickle, sys\n"
        "for content in pickle.load(sys.stdin.buffer):\n"
        "    try: pickle.loads(content, encoding='latin1')\n"
        "    except Exception: pass\n"
    )
    armed = [like.armed_files(tmp_path / str(number))[what] for number, what in enumerate(ARMED)]
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(armed), check=True)
    hatched = {what for number, what in enumerate(ARMED) if list(tmp_path.glob(f"{number}*"))}
    assert hatched == set(ARMED)


def test_file_that_asks_for_more_memory_than_its_reader_has_is_refused(tmp_path):
    (tmp_path / "greedy.pkl").write_bytes(b"]" * 2_000_000 + b".")  # lists of 56 bytes each
    code = (
        "import sys; from pathlib import Path; from pipeline.bodies import smpl_pickle_process as process\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * 4096\n"
        "process.MEMORY_BYTES = used + (64 << 20)\n"
        "sys.exit(process.main(Path(sys.argv[1]), Path('nowhere')))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "greedy.pkl")],
        capture_output=True,
        env=smpl_files._environment(),
    )
    assert ended.returncode == 3, ended.stderr
    said = json.loads(ended.stdout)
    assert said["reason"] == "body-unsafe" and "of memory, needs more" in said["message"]
