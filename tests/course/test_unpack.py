"""Opening what students send, and what attackers would."""

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


def zipped(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data, **options)
    return path


def test_reads_code_and_tells_what_it_left(tmp_path):
    others = {
        "notes.txt": b"x",
        "visualization/map.png": b"x",
        "visualizers/deep/er.py": b"x",
        "image_utils/a.py": b"x",
    }
    files, ignored = read_submission(zipped(tmp_path / "a.zip", GOOD | others))
    assert files == GOOD and ignored == sorted(others)


def test_takes_a_folder_inside_the_zip_and_what_mac_adds(tmp_path):
    members = {f"my homework/{name}": data for name, data in GOOD.items()} | {"__MACOSX/._style_utils.py": b"x"}
    assert read_submission(zipped(tmp_path / "a.zip", members))[0] == GOOD


def test_takes_an_unpacked_folder_and_one_with_the_zip_in_it(tmp_path):
    unpack.write_files(GOOD, tmp_path / "unpacked")
    assert read_submission(tmp_path / "unpacked")[0] == GOOD
    (tmp_path / "outer").mkdir()
    zipped(tmp_path / "outer" / "assignment_3_submission.zip", GOOD)
    assert read_submission(tmp_path / "outer")[0] == GOOD


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "../style_utils.py", "style_modules/../../x.py", "a//b.py", "./style_utils.py", "C:/x.py",
        "style_modules\\x.py", "a\nb.py", "a\x1b[31m.py", "x" * 300 + ".py", "..",
    ],
)  # fmt: skip
def test_refuses_names_that_point_elsewhere(tmp_path, name):
    # ZipInfo cleans some names up when they are written through zipfile, so the name is set behind its back.
    member = zipfile.ZipInfo("placeholder")
    member.filename = name
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, b"x")
        archive.writestr("style_utils.py", b"x")
    with pytest.raises(InputError) as problem:
        read_submission(tmp_path / "a.zip")
    assert "\n" not in str(problem.value) and "\x1b" not in str(problem.value)


@pytest.mark.parametrize("kind", [0o120777, 0o060644, 0o010644, 0o140755])
def test_refuses_links_and_devices(tmp_path, kind):
    member = zipfile.ZipInfo("style_utils.py")
    member.external_attr = kind << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, b"/etc/passwd")
    with pytest.raises(InputError, match="link or a device"):
        read_submission(tmp_path / "a.zip")


def test_refuses_thousands_of_files(tmp_path):
    path = zipped(tmp_path / "a.zip", {f"f{i}.py": b"" for i in range(2000)})
    with pytest.raises(InputError, match="2000 files"):
        read_submission(path)


def test_refuses_bombs(tmp_path):
    path = zipped(tmp_path / "a.zip", {"style_utils.py": bytes(10**9 // 4)})
    assert path.stat().st_size < 10**6
    with pytest.raises(InputError, match="20 MB"):
        read_submission(path)
    many = zipped(tmp_path / "b.zip", {f"f{i}.py": bytes(10**6) for i in range(40)})
    with pytest.raises(InputError, match="20 MB"):
        read_submission(many)


def test_refuses_a_bomb_that_lies_about_its_size(tmp_path):
    path = zipped(tmp_path / "a.zip", {"style_utils.py": bytes(3 * 10**7)})
    data = path.read_bytes().replace(struct.pack("<I", 3 * 10**7), struct.pack("<I", 10))
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_submission(path)


def test_refuses_two_files_of_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("style_utils.py", b"good")
        archive.writestr("style_utils.py", b"bad")
    with pytest.raises(InputError, match="two files"):
        read_submission(tmp_path / "a.zip")


def test_refuses_what_is_no_zip(tmp_path):
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


def test_a_project_with_its_environment_is_a_folder_like_another(tmp_path):
    unpack.write_files(GOOD, tmp_path)
    for hidden in (".venv", ".git", "visualizers/__pycache__"):
        unpack.write_files({f"{i}.py": b"" for i in range(600)}, tmp_path / hidden / "deeper")
        (tmp_path / hidden / "link").symlink_to("/")
    assert read_submission(tmp_path)[0] == GOOD


def test_refuses_folders_that_lie_deep(tmp_path, monkeypatch):
    unpack.write_files(GOOD, tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    for _ in range(2000):
        Path("d").mkdir()
        os.chdir("d")
    with pytest.raises(InputError, match="too deep"):
        read_submission(tmp_path / "a")
    os.chdir(tmp_path)
    remove(tmp_path / "a")


def test_refuses_links_in_a_folder(tmp_path):
    unpack.write_files(GOOD, tmp_path / "a")
    (tmp_path / "a" / "linked.py").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="link"):
        read_submission(tmp_path / "a")
    (tmp_path / "a" / "linked.py").unlink()
    (tmp_path / "a" / "extra").symlink_to("/")
    with pytest.raises(InputError, match="link"):
        read_submission(tmp_path / "a")
    (tmp_path / "a" / "extra").unlink()
    os.mkfifo(tmp_path / "a" / "pipe.py")
    with pytest.raises(InputError, match="link or a device"):
        read_submission(tmp_path / "a")


def test_a_code_file_of_megabytes_is_left_out(tmp_path):
    files, ignored = read_submission(zipped(tmp_path / "a.zip", GOOD | {"big.py": bytes(3 * 10**6)}))
    assert files == GOOD and ignored == ["big.py"]


def test_nothing_is_written_while_reading(tmp_path):
    path = zipped(tmp_path / "a.zip", GOOD)
    read_submission(path)
    assert list(tmp_path.iterdir()) == [path]
    assert zipfile.ZipFile(io.BytesIO(path.read_bytes())).testzip() is None
