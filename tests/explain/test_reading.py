"""One image file: what is read of it, and what is wrong with it."""

import hashlib
import io
import os

import numpy as np
import pytest
from PIL import Image

from data.samples import centre_crop
from explain import reading
from explain.reading import read_photo, to_batch
from image_utils.loading import open_image, shorten
from image_utils.pixels import to_input
from tests.image_utils.test_loading import broken_files


@pytest.fixture
def picture():
    y, x = np.mgrid[0:300, 0:450]
    return Image.fromarray(np.stack([x % 256, y % 256, (x + y) % 256], axis=2).astype(np.uint8))


def test_hash_size_and_square(tmp_path, picture):
    picture.save(tmp_path / "a.jpg", exif=_rotated())
    photo = read_photo(tmp_path / "a.jpg")
    upright = open_image(tmp_path / "a.jpg")
    assert photo.sha256 == hashlib.sha256((tmp_path / "a.jpg").read_bytes()).hexdigest()
    assert (photo.width, photo.height) == upright.size == (300, 450)
    assert np.array_equal(photo.pixels, np.asarray(centre_crop(shorten(upright, 224), 224)))


def _rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_a_batch_is_what_the_network_takes(tmp_path, picture):
    picture.save(tmp_path / "a.png")
    picture.rotate(180).resize((40, 30)).save(tmp_path / "b.png")
    photos = [read_photo(tmp_path / name) for name in ("a.png", "b.png")]
    batch = to_batch(photos, "cpu")
    assert np.array_equal(batch.numpy(), to_input(np.stack([p.pixels for p in photos])).numpy())


def test_every_broken_file_has_a_line(tmp_path, picture):
    files = broken_files(tmp_path, picture)
    for file in [*files, tmp_path / "nowhere.jpg", tmp_path]:
        photo = read_photo(file)
        assert photo.pixels is None and photo.error and "\n" not in photo.error, file


def test_a_link_to_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "pipe")
    assert read_photo(tmp_path / "a.jpg").error == "it is no ordinary file"


def test_ribbons_and_giants_are_errors(tmp_path, monkeypatch):
    Image.new("RGB", (1, 5000)).save(tmp_path / "ribbon.png")
    assert "32 times" in read_photo(tmp_path / "ribbon.png").error
    monkeypatch.setattr(reading, "MAX_BYTES", 10)
    assert "10 bytes" in read_photo(tmp_path / "ribbon.png").error


def test_a_decoder_that_fails_in_its_own_way(tmp_path, monkeypatch):
    def fail(source):
        raise ZeroDivisionError("who knows\nwhy")

    monkeypatch.setattr(reading, "open_image", fail)
    (tmp_path / "a.jpg").write_bytes(io.BytesIO(b"abc").getvalue())
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.error == "who knows why" and photo.sha256 is not None
