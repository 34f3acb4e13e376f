"""Opening what students send, and what attackers would."""

import contextlib
import io
import os
import struct
import zipfile
from pathlib import Path

import pytest

from course.autograder import unpack
from course.autograder.sandbox import remove
from course.autograder.unpack import read_submission
from image_utils.errors import InputError

GOOD = {"style_utils.py": b"a = 1\n", "style_modules/tv_loss.py": b"b = 1\n", "visualizers/gradcam.py": b"c = 1\n"}
OTHERS = {
    "notes.txt": b"x",
    "Icon\r": b"",
    "visualization/map.png": b"x",
    "visualizers/deep/er.py": b"x",
    "image_utils/a.py": b"x",
    "earlier.zip": b"x",
    "x" * 260 + ".txt": b"x",
    "x" * 260 + ".py": b"x",
}


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo("placeholder")
            member.filename = name  # ZipInfo cleans some names up, so this one is set behind its back
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return path


def test_reads_code_and_tells_what_it_left(tmp_path):
    files, ignored = read_submission(zipped(tmp_path / "a.zip", GOOD | OTHERS))
    assert files == GOOD and len(ignored) == len(OTHERS) and "notes.txt" in ignored


def test_skips_what_is_not_code_however_much_there_is(tmp_path):
    many = {f"pictures/{i}.png": b"" for i in range(3000)} | {"film.mp4": bytes(10**7 * 3), "a.zip": b"no zip"}
    links = zipfile.ZipInfo("shortcut")
    links.external_attr = 0o120777 << 16
    path = zipped(tmp_path / "a.zip", GOOD | many)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(links, "/etc/passwd")
    assert read_submission(path)[0] == GOOD


def test_takes_a_folder_inside_the_zip_and_what_other_systems_add(tmp_path):
    inside = {f"my homework/{name}": data for name, data in GOOD.items()}
    mac = {"__MACOSX/._style_utils.py": b"x", "__MACOSX/my homework/style_modules/._tv_loss.py": b"x"}
    environment = {"my homework/.venv/lib/visualizers/x.py": b"x", "my homework/venv/lib/six.py": b"x"}
    assert read_submission(zipped(tmp_path / "a.zip", inside | mac | environment))[0] == GOOD
    windows = {name.replace("/", "\\"): data for name, data in inside.items()}
    assert read_submission(zipped(tmp_path / "b.zip", windows))[0] == GOOD


def test_only_one_package_is_enough_to_see_the_project(tmp_path):
    for package in ("style_modules/tv_loss.py", "visualizers/gradcam.py"):
        files = {"hw3/style_utils.py": b"", f"hw3/{package}": b"", "hw3/notes/old/draft.py": b""}
        assert sorted(read_submission(zipped(tmp_path / "a.zip", files))[0]) == sorted(["style_utils.py", package])


def test_the_project_twice_is_refused(tmp_path):
    both = {f"{folder}/{name}": data for folder in ("new", "old") for name, data in GOOD.items()}
    with pytest.raises(InputError, match="twice, in new and old"):
        read_submission(zipped(tmp_path / "a.zip", both))


def test_takes_an_unpacked_folder_and_the_zip_in_a_folder_or_in_a_zip(tmp_path):
    unpack.write_files(GOOD, tmp_path / "unpacked")
    assert read_submission(tmp_path / "unpacked")[0] == GOOD
    (tmp_path / "outer").mkdir()
    inner = zipped(tmp_path / "outer" / "assignment_3_submission.zip", GOOD)
    assert read_submission(tmp_path / "outer")[0] == GOOD
    assert (
        read_submission(zipped(tmp_path / "b.zip", {"a/b.zip": inner.read_bytes(), "a/read.me": b""}))[0] == GOOD
    )


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd.py", "../style_utils.py", "style_modules/../../x.py", "C:/x.py", "..\\x.py", "\\\\host\\x.py"],
)
def test_a_name_that_points_elsewhere_leads_nowhere(tmp_path, name):
    assert read_submission(zipped(tmp_path / "a.zip", {name: b"x", **GOOD}))[0] == GOOD
    (tmp_path / "project").mkdir()
    alone = zipped(tmp_path / "b.zip", {name: b"x", "visualizers/" + name: b"x"})
    with contextlib.suppress(InputError):  # no code, or twice
        unpack.write_files(read_submission(alone)[0], tmp_path / "project")
    assert {path.name for path in tmp_path.iterdir()} <= {"a.zip", "b.zip", "project"}
    assert not Path("/etc/passwd.py").exists()


@pytest.mark.parametrize(
    "name", ["a\nb.py", "a\x1b[31m.py", "x" * 300 + ".py", "\udcff.py".encode("utf8", "replace").decode()]
)
def test_skips_names_that_cannot_be_files_of_the_project(tmp_path, name):
    assert list(read_submission(zipped(tmp_path / "a.zip", {name: b"x", **GOOD}))[0].keys() - GOOD.keys()) in (
        [],
        [name],
    )


@pytest.mark.parametrize("kind", [0o120777, 0o060644, 0o010644, 0o140755])
def test_a_link_is_the_text_of_its_target_and_no_more(tmp_path, kind):
    member = zipfile.ZipInfo("style_utils.py")
    member.external_attr = kind << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, b"/etc/passwd")
    assert read_submission(tmp_path / "a.zip")[0] == {"style_utils.py": b"/etc/passwd"}


def test_refuses_thousands_of_code_files(tmp_path):
    path = zipped(tmp_path / "a.zip", {f"f{i}.py": b"" for i in range(2000)})
    with pytest.raises(InputError, match="2000 files"):
        read_submission(path)


def test_reads_no_more_of_a_bomb_than_a_code_file_may_have(tmp_path):
    path = zipped(tmp_path / "a.zip", {"style_utils.py": bytes(10**9 // 4), "gradcam.py": b"x"})
    assert path.stat().st_size < 10**6
    assert read_submission(path) == ({"gradcam.py": b"x"}, ["style_utils.py"])
    many = zipped(tmp_path / "b.zip", {f"f{i}.py": bytes(unpack.MAX_FILE) for i in range(unpack.MAX_FILES)})
    assert sum(map(len, read_submission(many)[0].values())) == 20 * 10**6  # and no more can come together


def test_refuses_a_bomb_that_lies_about_its_size(tmp_path):
    path = zipped(tmp_path / "a.zip", {"style_utils.py": bytes(3 * 10**7)})
    data = path.read_bytes().replace(struct.pack("<I", 3 * 10**7), struct.pack("<I", 10))
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_submission(path)


def test_of_two_files_of_one_name_the_last_counts(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("style_utils.py", b"old")
        archive.writestr("style_utils.py", b"new")
    assert read_submission(tmp_path / "a.zip")[0] == {"style_utils.py": b"new"}


def test_refuses_what_is_not_a_zip(tmp_path, monkeypatch):
    good = zipped(tmp_path / "good.zip", GOOD).read_bytes()
    encrypted = bytearray(good)
    at = good.rindex(b"PK\x01\x02")
    encrypted[at + 8] |= 1
    damaged = bytearray(good)
    damaged[35:60] = b"\xff" * 25
    for data in (b"", b"hello", good[:-30], b"PK\x05\x06" + bytes(18), bytes(encrypted), bytes(damaged)):
        (tmp_path / "a.zip").write_bytes(data)
        with pytest.raises(InputError) as problem:
            read_submission(tmp_path / "a.zip")
        assert "\n" not in str(problem.value)
    with pytest.raises(InputError, match="does not exist"):
        read_submission(tmp_path / "nowhere.zip")
    with pytest.raises(InputError, match="no code"):
        read_submission(zipped(tmp_path / "a.zip", {"notes.txt": b"x"}))
    monkeypatch.setattr(unpack, "MAX_ZIP", 10)
    with pytest.raises(InputError, match="is larger than"):
        read_submission(tmp_path / "good.zip")


def test_a_project_with_its_environment_is_a_folder_like_another(tmp_path):
    unpack.write_files(GOOD, tmp_path)
    for hidden in (".venv", ".git", "visualizers/__pycache__", "env"):
        unpack.write_files({f"{i}.py": b"" for i in range(600)}, tmp_path / hidden / "deeper")
        (tmp_path / hidden / "link").symlink_to("/")
    (tmp_path / "env" / "pyvenv.cfg").touch()
    assert read_submission(tmp_path)[0] == GOOD


def test_folders_that_lie_deep_are_not_looked_into(tmp_path, monkeypatch):
    unpack.write_files(GOOD, tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    for _ in range(2000):
        Path("d").mkdir()
        os.chdir("d")
    Path("x.py").touch()
    os.chdir(tmp_path)
    assert read_submission(tmp_path / "a")[0] == GOOD
    remove(tmp_path / "a")


def test_how_deep_a_project_may_lie(tmp_path):
    deepest = ["d"] * unpack.MAX_DEPTH
    unpack.write_files({"x.py": b"x"}, tmp_path.joinpath("a", *deepest))
    assert read_submission(tmp_path / "a")[0] == {"x.py": b"x"}
    unpack.write_files({"x.py": b"x"}, tmp_path.joinpath("b", *deepest, "d"))
    with pytest.raises(InputError, match="no code"):
        read_submission(tmp_path / "b")


def test_links_and_devices_in_a_folder_are_left(tmp_path):
    unpack.write_files(GOOD, tmp_path / "a")
    (tmp_path / "a" / "extra").symlink_to("/")
    (tmp_path / "a" / "linked.py").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "a" / "pipe.py")
    assert read_submission(tmp_path / "a")[0] == GOOD


def test_nothing_is_written_while_reading(tmp_path):
    path = zipped(tmp_path / "a.zip", GOOD)
    read_submission(path)
    assert list(tmp_path.iterdir()) == [path]
    assert zipfile.ZipFile(io.BytesIO(path.read_bytes())).testzip() is None
