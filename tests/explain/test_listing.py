"""Which files are found, in which order, and how they are cut into shards."""

import os

import pytest

from explain.listing import Shard, make_shards, survey, walk
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
    assert survey(folder).count == len(NAMES) - 1
    assert survey(folder).others == 2


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


def test_shards_are_fixed_groups(folder):
    every = list(make_shards(folder, lambda path: len(path), shard_size=3))
    assert [shard.paths for shard in every] == [images(folder)[i : i + 3] for i in (0, 3, 6)]
    assert [shard.first for shard in every] == [0, 3, 6]
    assert every[0].labels == [len(path) for path in every[0].paths]
    limited = list(make_shards(folder, lambda path: -1, shard_size=3, limit=4))
    assert [path for shard in limited for path in shard.paths] == images(folder)[:4]
    assert all(Shard.from_json(shard.to_json()) == shard for shard in every)


def test_the_digest_tells_folders_apart(folder):
    before = survey(folder).digest
    assert survey(folder).digest == before != survey(folder, limit=2).digest
    (folder / "a.jpg").rename(folder / "c.jpg")
    assert survey(folder).digest != before


def test_a_change_between_two_walks_is_noticed(folder):
    found = survey(folder, limit=5)
    options = {"shard_size": 2, "limit": 5, "expected": found.digest}
    assert sum(len(shard.paths) for shard in make_shards(folder, len, **options)) == 5
    (folder / "a" / "new.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="changed during the run"):
        list(make_shards(folder, len, **options))


def test_names_that_are_no_text(folder):
    name = b"\xff\xfe.jpg"
    try:
        (folder / os.fsdecode(name)).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such names")
    (shard,) = make_shards(folder, lambda path: -1, shard_size=99)
    assert os.fsdecode(name) in shard.paths and Shard.from_json(shard.to_json()) == shard
    assert survey(folder).count == len(NAMES)


def test_no_images(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"holds no image \(1 files of other kinds\)"):
        survey(tmp_path)
