"""Which files are found, in which order, and how they are cut into shards."""

import os

import pytest

from explain.listing import LIST, Shard, list_files, make_shards, require_images, walk
from image_utils.errors import InputError

NAMES = [
    "b.jpg",
    "a/z.png",
    "a-b/x.jpg",
    "a.jpg",
    "Käse/ein Bild.JPEG",
    "a/b/c.webp",
    "日本/写真.jpg",
    "a b/.x/h.jpg",
]


@pytest.fixture
def folder(tmp_path):
    for name in [*NAMES, "notes.txt", "labels.csv", ".hidden.jpg", "a/.cache/t.jpg"]:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    return tmp_path / "in"


def images(folder, **options):
    return [path for path, image in walk(folder, **options) if image]


def test_sorted_by_path_whatever_the_nesting(folder):
    assert images(folder) == sorted(name for name in NAMES if "/." not in name)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_images_and_other_files_are_counted(folder, out):
    assert list_files(out, folder) == (len(NAMES) - 1, 2)


def test_a_walk_holds_one_folder_at_a_time(folder):
    steps = walk(folder)
    assert next(steps)[0] == "Käse/ein Bild.JPEG"  # the rest has not been looked at
    (folder / "zz.jpg").write_bytes(b"")
    (folder / "a" / "new.jpg").write_bytes(b"")
    assert "a/new.jpg" in [path for path, _ in steps]


def test_links_are_followed_and_loops_are_not(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.jpg").write_bytes(b"")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    (folder / "a" / "self").symlink_to(folder / "a")
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "circle.jpg").symlink_to(folder / "circle.jpg")
    found = images(folder)
    assert {"link/far.jpg", "dangling.jpg", "circle.jpg"} <= set(found)
    assert len(found) == len(NAMES) - 1 + 3
    assert found == sorted(found)


def test_a_pipe_is_no_image(folder):
    os.mkfifo(folder / "pipe.jpg")
    assert "pipe.jpg" not in images(folder)


def test_the_output_inside_is_left_out(folder):
    (folder / "out").mkdir()
    (folder / "out" / "x.jpg").write_bytes(b"")
    assert not [path for path in images(folder, without=folder / "out") if path.startswith("out")]
    assert "out/x.jpg" in images(folder)


def shards(out, size=3, labels=len):
    return list(make_shards(out, labels, shard_size=size))


def test_shards_are_fixed_groups(folder, out):
    list_files(out, folder)
    every = shards(out)
    assert [shard.paths for shard in every] == [images(folder)[i : i + 3] for i in (0, 3, 6)]
    assert [(shard.number, shard.first) for shard in every] == [(0, 0), (1, 3), (2, 6)]
    assert every[0].labels == [len(path) for path in every[0].paths]
    assert all(Shard.from_json(shard.to_json()) == shard for shard in every)
    assert [shard.paths for shard in shards(out, 7)] == [images(folder)]


def test_a_limit(folder, out):
    assert list_files(out, folder, limit=4) == (4, 0)
    assert [path for shard in shards(out) for path in shard.paths] == images(folder)[:4]
    assert list_files(out, folder, limit=4) == (4, 0)


def test_what_is_new_comes_last_in_shards_of_its_own(folder, out):
    list_files(out, folder)
    before, listed = shards(out), (out / LIST).read_bytes()
    assert list_files(out, folder) == (7, 2) and (out / LIST).read_bytes() == listed
    for name in ("a/new.jpg", "0.jpg"):
        (folder / name).write_bytes(b"")
    assert list_files(out, folder) == (9, 2)
    (folder / "a" / "newer.jpg").write_bytes(b"")
    assert list_files(out, folder) == (10, 2) == list_files(out, folder)
    every = shards(out)
    assert every[:3] == before
    assert [shard.paths for shard in every[3:]] == [["0.jpg", "a/new.jpg"], ["a/newer.jpg"]]
    assert [(shard.number, shard.first) for shard in every[3:]] == [(3, 7), (4, 9)]


def test_what_is_gone_is_named(folder, out):
    list_files(out, folder)
    listed = (out / LIST).read_bytes()
    (folder / "a.jpg").rename(folder / "c.jpg")
    with pytest.raises(InputError, match=r"'a\.jpg', of the run in '.*out', is no longer in '.*in'"):
        list_files(out, folder)
    (folder / "b.jpg").unlink()
    with pytest.raises(InputError, match=r"'a\.jpg' and 1 more of the run"):
        list_files(out, folder)
    assert (out / LIST).read_bytes() == listed


def test_a_long_list_is_read_little_by_little(out):
    names = [f"{i:06}/{'x' * 90}.jpg" for i in range(30_000)]
    (out / LIST).write_bytes(b"".join(name.encode() + b"\0" for name in names))
    assert [path for shard in shards(out, 1000) for path in shard.paths] == names


def test_names_that_are_no_text(folder, out):
    name = b"\xff\xfe.jpg"
    try:
        (folder / os.fsdecode(name)).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such names")
    assert list_files(out, folder)[0] == len(NAMES)
    (shard,) = shards(out, 99)
    assert os.fsdecode(name) in shard.paths and Shard.from_json(shard.to_json()) == shard


def test_no_images(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"holds no image \(1 files of other kinds\)"):
        require_images(tmp_path)
    (tmp_path / "z.jpg").write_bytes(b"")
    require_images(tmp_path)
