"""Sample photographs: the course's file when a user has it, read without running its pickle, or Foolbox's."""

import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

import data.samples
from data.samples import imagenet_class_names, read_course_file
from data_utils import load_imagenet_val
from image_utils.errors import InputError


def test_the_twenty_photographs():
    X, y, names = load_imagenet_val()
    assert X.shape == (20, 224, 224, 3) and X.dtype == np.uint8
    assert y.shape == (20,) and y.dtype == np.int64
    assert len(names) == 1000 and names[76] == "tarantula" and names[int(y[0])] == "bull mastiff"


def test_num():
    assert len(load_imagenet_val(3)[0]) == len(load_imagenet_val(num=3)[1]) == 3
    assert len(load_imagenet_val(50)[0]) == 20
    for num in (0, -1):
        with pytest.raises(InputError):
            load_imagenet_val(num)


def test_calls_do_not_share_arrays():
    X, y, names = load_imagenet_val()
    X[:], y[:], names[76] = 0, 0, "spider"
    again, labels, other_names = load_imagenet_val()
    assert again.max() == 255 and labels.max() > 0 and other_names[76] == "tarantula"


def course_file(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "X": rng.integers(0, 256, (25, 224, 224, 3), dtype=np.uint8),
        "y": rng.integers(0, 1000, 25),
        "label_map": {i: f"class {i}" for i in range(1000)},
    } | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return arrays


def test_the_courses_file_comes_first(tmp_path, monkeypatch):
    expected = course_file(tmp_path / "imagenet_val_25.npz")
    monkeypatch.setattr(data.samples, "COURSE_FILE", tmp_path / "imagenet_val_25.npz")
    X, y, names = load_imagenet_val(5)
    assert np.array_equal(X, expected["X"][:5]) and np.array_equal(y, expected["y"][:5])
    assert names == expected["label_map"]


def test_classes_without_a_name_keep_torchvisions(tmp_path):
    course_file(tmp_path / "course.npz", label_map={0: "a fish"}, y=np.full(25, 134))
    names = read_course_file(tmp_path / "course.npz")[2]
    assert names == imagenet_class_names() | {0: "a fish"} and list(names) == list(range(1000))


def test_arrays_in_another_order_of_memory(tmp_path):
    X = np.random.default_rng(1).integers(0, 256, (25, 224, 224, 3), dtype=np.uint8)
    course_file(tmp_path / "course.npz", X=np.asfortranarray(X), y=np.arange(25, dtype=">i2"))
    found, y, _ = read_course_file(tmp_path / "course.npz")
    assert np.array_equal(found, X) and y.tolist() == list(range(25)) and y.dtype == np.int64


def test_a_small_file_that_promises_much_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(data.samples, "MAX_MEMBER", 1_000_000)
    course_file(tmp_path / "large.npz", X=np.zeros((200, 224, 224, 3), np.uint8), y=np.zeros(200, int))
    with (
        zipfile.ZipFile(tmp_path / "large.npz") as large,
        zipfile.ZipFile(tmp_path / "course.npz", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for name in large.namelist():
            small.writestr(name, large.read(name))
    assert (tmp_path / "course.npz").stat().st_size < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="X has 30,105,728 bytes"):
            read_course_file(tmp_path / "course.npz")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


class Hostile:
    def __reduce__(self):
        return (exec, ("import pathlib; pathlib.Path('ran').touch()",))


class HostileDict(dict):
    def __reduce__(self):
        return (exec, ("import pathlib; pathlib.Path('ran').touch()",))


@pytest.mark.parametrize(
    "changes",
    [
        {"label_map": Hostile()},
        {"label_map": HostileDict()},
        {"label_map": {0: Hostile()}},
        {"label_map": {"0": "name"}},
        {"label_map": {0: 1}},
        {"label_map": {1000: "beyond"}},
        {"label_map": {-1: "before"}},
        {"label_map": [1, 2]},
        {"label_map": np.arange(3)},
        {"label_map": None},
        {"X": None},
        {"y": np.zeros(3, int)},
        {"y": np.full(25, 2000)},
        {"y": np.zeros(25)},
        {"X": np.zeros((25, 3, 224, 224), np.uint8)},
        {"X": np.zeros((25, 224, 224, 3))},
        {"X": np.array({"a": Hostile()})},
        {"X": np.zeros((0, 224, 224, 3), np.uint8), "y": np.zeros(0, int)},
        {"y": np.full(25, -1)},
    ],
)
def test_other_content_is_refused_and_nothing_runs(tmp_path, monkeypatch, changes):
    monkeypatch.chdir(tmp_path)
    course_file(tmp_path / "course.npz", **changes)
    with pytest.raises(InputError, match=r"course\.npz"):
        read_course_file(tmp_path / "course.npz")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_no_archive(tmp_path):
    for content in (b"", b"text", pickle.dumps([1])):
        (tmp_path / "course.npz").write_bytes(content)
        with pytest.raises(InputError):
            read_course_file(tmp_path / "course.npz")
