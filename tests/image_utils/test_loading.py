"""Every kind of image file a person may have, and every kind that is none."""

import http.server
import io
import os
import socket
import threading

import numpy as np
import pytest
from PIL import Image

from image_utils import image_from_url, load_image
from image_utils import loading as loading_module
from image_utils.errors import InputError
from image_utils.loading import open_image, shorten


@pytest.fixture
def picture():
    """60 x 40, smooth, so that lossy formats keep it nearly."""
    y, x = np.mgrid[0:40, 0:60]
    return Image.fromarray(np.stack([x * 4, y * 6, 255 - x * 2], axis=2).astype(np.uint8))


def difference(path, expected):
    return np.abs(np.asarray(open_image(path), int) - np.asarray(expected.convert("RGB"), int)).max()


@pytest.mark.parametrize(
    ("mode", "ending"), [("RGB", "png"), ("L", "png"), ("1", "png"), ("RGB", "bmp"), ("P", "png")]
)
def test_reads_modes_exactly(tmp_path, picture, mode, ending):
    picture.convert(mode).save(tmp_path / f"picture.{ending}")
    assert difference(tmp_path / f"picture.{ending}", picture.convert(mode)) == 0


@pytest.mark.parametrize(
    ("mode", "ending"), [("CMYK", "jpg"), ("RGB", "jpg"), ("RGB", "webp"), ("CMYK", "tif"), ("LAB", "tif")]
)
def test_reads_other_colour_spaces(tmp_path, picture, mode, ending):
    picture.convert(mode).save(tmp_path / f"picture.{ending}")
    assert difference(tmp_path / f"picture.{ending}", picture) < 40


def test_every_format_that_pillow_writes_is_read(tmp_path, picture):
    Image.init()
    endings = {form: ending for ending, form in Image.registered_extensions().items()}
    read = []
    for form in sorted(set(Image.SAVE) & set(endings) - {"PDF", "EPS", "WMF", "PALM", "HDF5", "GRIB", "BUFR"}):
        try:
            picture.save(tmp_path / f"picture{endings[form]}", form)
        except (OSError, KeyError, ValueError):
            continue  # not in this mode, or not by this build
        assert np.asarray(open_image(tmp_path / f"picture{endings[form]}")).shape[2] == 3
        read.append(form)
    assert {"BMP", "GIF", "JPEG", "PNG", "PPM", "TGA", "TIFF", "WEBP"} <= set(read)


def test_transparency_is_laid_over_white(tmp_path, picture):
    for mode in ("RGBA", "LA"):
        clear = picture.convert(mode)
        clear.putalpha(0)
        clear.save(tmp_path / "clear.png")
        assert np.asarray(open_image(tmp_path / "clear.png")).min() == 255
    picture.convert("P").save(tmp_path / "palette.png", transparency=bytes(256))
    assert np.asarray(open_image(tmp_path / "palette.png")).min() == 255


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_grey_keeps_its_range(tmp_path, dtype):
    ramp = np.linspace(0, 1, 2400).reshape(40, 60)
    values = ramp.astype(np.float32) if dtype is np.float32 else (ramp * 65535).astype(dtype)
    Image.fromarray(values).save(tmp_path / "deep.tif")
    assert np.abs(np.asarray(open_image(tmp_path / "deep.tif"))[..., 0] - ramp * 255).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.uint16, [0, 257, 65535], [0, 1, 255]),  # 16 bits, however dark
        (np.int32, [0, 200, 255], [0, 200, 255]),  # no larger than eight bits have
        (np.int32, [-257, 0, 65535], [0, 0, 255]),
        (np.float32, [0, 0.4, 1], [0, 102, 255]),
        (np.float32, [-5, 100.4, 300], [0, 100, 255]),
    ],
)
def test_grey_values_are_scaled_by_what_they_can_be_and_clipped(tmp_path, dtype, values, expected):
    Image.fromarray(np.array([values], dtype)).save(tmp_path / "deep.tif")
    assert np.asarray(open_image(tmp_path / "deep.tif"))[0].tolist() == [[value] * 3 for value in expected]


def test_exif_rotation_is_applied(tmp_path, picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90 degrees clockwise to view"
    picture.save(tmp_path / "rotated.png", exif=exif)
    assert np.array_equal(
        np.asarray(open_image(tmp_path / "rotated.png")), np.asarray(picture.rotate(-90, expand=True))
    )


def test_first_frame_of_an_animation(tmp_path, picture):
    first = picture.quantize()
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[Image.new("P", picture.size)])
    assert difference(tmp_path / "moving.gif", first) == 0


def broken_files(folder, picture):
    """Name and content of files that are no readable image."""
    png, jpg = io.BytesIO(), io.BytesIO()
    picture.resize((600, 400)).save(png, "png")
    picture.resize((600, 400)).save(jpg, "jpeg")
    (folder / "truncated.png").write_bytes(png.getvalue()[: len(png.getvalue()) // 2])
    (folder / "truncated.jpg").write_bytes(jpg.getvalue()[: len(jpg.getvalue()) // 2])
    damaged = bytearray(png.getvalue())
    damaged[60:90] = bytes(30)
    (folder / "damaged.png").write_bytes(damaged)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("this is a letter, not a picture")
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "zeros.png").write_bytes(bytes(1000))
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    picture.save(folder / "drawing.eps")
    Image.new("1", (20000, 20000)).save(folder / "bomb.png")
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(folder / "nan.tif")
    return sorted([*folder.iterdir(), folder / "missing.png"])


def test_broken_files_are_refused_in_one_line(tmp_path, picture):
    files = broken_files(tmp_path, picture)
    assert len(files) == 13
    for file in files:
        with pytest.raises(InputError) as caught:
            open_image(file)
        assert "\n" not in str(caught.value)
        assert file.name in str(caught.value) or file.name == "nan.tif"


def test_pixel_limit_holds_below_pillows_own(tmp_path, picture, monkeypatch):
    monkeypatch.setattr(loading_module, "MAX_PIXELS", 1000)
    picture.save(tmp_path / "picture.png")
    with pytest.raises(InputError, match="60 x 40"):
        open_image(tmp_path / "picture.png")


def test_load_image_resizes_the_shortest_side(tmp_path, picture):
    picture.save(tmp_path / "picture.png")
    assert np.array_equal(load_image(tmp_path / "picture.png"), np.asarray(picture))
    assert load_image(str(tmp_path / "picture.png"), size=20).shape == (20, 30, 3)
    assert load_image(tmp_path / "picture.png", size=80).shape == (80, 120, 3)


def test_the_shortest_side_is_exact():
    for length in range(1, 600):
        for wide in (Image.new("L", (length, 301)), Image.new("L", (301, length))):
            short = shorten(wide, 224)
            assert min(short.size) == 224
            exact = 224 * max(wide.size) / min(wide.size)
            assert max(short.size) in (int(exact), int(exact) + 1)


@pytest.fixture
def server(picture):
    """A web server on this machine: a picture, a long answer, a page, and redirects."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header(
                    "Location", {"/to/file": "file:///etc/hosts", "/to/picture": "/picture"}[self.path]
                )
                self.end_headers()
                return
            content = io.BytesIO()
            picture.save(content, "png")
            pages = {"/picture": content.getvalue(), "/long": bytes(5000), "/page": b"<html>"}
            self.send_response(200 if self.path in pages else 404)
            self.end_headers()
            self.wfile.write(pages.get(self.path, b""))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_image_from_url(server, picture):
    assert np.array_equal(image_from_url(f"{server}/picture"), np.asarray(picture))
    assert np.array_equal(image_from_url(f"{server}/to/picture"), np.asarray(picture))


@pytest.mark.parametrize("path", ["/page", "/nothing", "/to/file", "/long"])
def test_url_that_gives_no_image(server, path):
    with pytest.raises(InputError):
        image_from_url(server + path, max_bytes=4000)


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://example.org/a.png", "a.png", ""])
def test_url_of_another_kind(url):
    with pytest.raises(InputError, match="is not an http or https address"):
        image_from_url(url)


def test_nobody_answers():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen, so that nobody else can
        with pytest.raises(InputError, match="cannot be fetched"):
            image_from_url(f"http://127.0.0.1:{taken.getsockname()[1]}/a.png")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_turns_nothing(tmp_path, picture):
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 1.5
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    upright = np.asarray(picture.convert("RGB"), int)
    start = data.index(b"Exif\0\0") + 6
    length = int.from_bytes(data[start - 8 : start - 6], "big") - 8
    for i in range(start, start + length):
        damaged = bytes(data[:i]) + bytes([data[i] ^ 0xFF]) + bytes(data[i + 1 :])
        seen = np.asarray(open_image(io.BytesIO(damaged)), int)
        if seen.shape == upright.shape:
            assert np.abs(seen - upright).max() < 60 or np.abs(seen - upright[::-1, ::-1]).max() < 60
        else:
            assert seen.shape == (60, 40, 3)


@pytest.mark.parametrize("kind", [RuntimeError, NotImplementedError])
def test_whatever_a_decoder_raises_is_one_line(monkeypatch, tmp_path, picture, kind):
    def fails(self, *args):
        raise kind("no such decoder")

    picture.save(tmp_path / "a.png")
    monkeypatch.setattr(loading_module, "_to_rgb", fails)
    with pytest.raises(InputError, match="cannot be read: no such decoder"):
        open_image(tmp_path / "a.png")


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        open_image(tmp_path / ("a" * 300 + ".png"))
