"""The page in a real browser, used as a person would; whatever it asks of another machine fails the test."""

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from data.networks import load_network
from data.samples import SIZE, package_folder
from image_utils.loading import load_image, open_image
from image_utils.pixels import to_input
from tests.conftest import ROOT

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("gradio")
from explain.pictures import picture  # noqa: E402
from tabs import dream, paint  # noqa: E402
from visualizers import ClassVisualization, GradCam, SaliencyMap  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
LONG = int(
    os.environ.get("PAGE_WAIT", "300000")
)  # milliseconds after which a wait is given up, on however slow a machine
LOCAL = re.compile(r"(http://127\.0\.0\.1:\d+/|data:|blob:)")


@contextlib.contextmanager
def serving(*arguments):
    """Run page.py with as many threads as here, on which the last bits and so a picture's ascent depend.

    Yields:
        Its address, and the process.
    """
    command, threads = [sys.executable, ROOT / "page.py", *arguments], str(torch.get_num_threads())
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        try:
            yield re.search(r"http://\S+", process.stdout.readline())[0], process
        finally:
            process.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def address():
    with serving() as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_context()
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Return a function that lets one more visitor open the page; at the end nobody may have seen an error."""
    pages, strangers, errors = [], [], []

    def open_page(width=1280):
        pages.append(page := browser.new_page())  # each is a visitor; what the browser has read once, it keeps
        page.set_default_timeout(LONG)
        page.set_viewport_size({"width": width, "height": 900})
        page.on("request", lambda request: LOCAL.match(request.url) or strangers.append(request.url))
        page.on("console", lambda said: said.type == "error" and errors.append(said.text))
        page.on("pageerror", lambda problem: errors.append(str(problem)))
        page.goto(address)
        page.get_by_role("tab", name="Explain").wait_for()
        return page

    open_page.errors = errors
    yield open_page
    for page in pages:
        page.close()
    assert strangers == []
    assert errors == []


def samples():
    return sorted(package_folder("foolbox").glob("data/imagenet_*_*.jpg"))


def drop(page, place, file):
    page.locator(f"{place} input[type=file]").set_input_files(file)


def explained(page, file):
    """Drop a photograph and wait for its maps; returns their addresses."""
    drop(page, "#photograph", file)
    page.locator("#maps img").nth(2).wait_for()
    return sources(page, "#maps")


def choose_class(page, label, name):
    """Type a class's name and take the first that is offered."""
    box = page.get_by_label(label)
    box.click()
    box.press("ControlOrMeta+a")
    box.press_sequentially(name)
    page.get_by_role("option").first.wait_for()
    box.press("Enter")


def sources(page, place):
    return [image.get_attribute("src") for image in page.locator(f"{place} img").all()]


def changed(page, place, before):
    """Wait until the first picture is another, and return the addresses of all."""
    page.wait_for_function(
        "([place, before]) => { const i = document.querySelector(place + ' img'); return i && i.src != before }",
        arg=[place, before],
    )
    return sources(page, place)


def fetched(page, source):
    return np.array(open_image(io.BytesIO(page.request.get(source).body())))


def downloaded(page, click):
    with page.expect_download() as download:
        click()
    return download.value


def finished(page, place, name):
    """Wait until a picture is the file that a computation ends with, and download it."""
    page.locator(f"{place} img[src$='{name}']").wait_for()
    return downloaded(page, page.locator(place).get_by_label("Download").click)


def expected(file, wanted, method, model, **keywords):
    """Compute what the page must show for a method, from the library alone."""
    pixels = load_image(file, SIZE)
    maps = method(to_input(pixels[None]), torch.tensor([wanted]), model, **keywords)
    return pixels, np.asarray(maps[0])


def assert_same_picture(seen, wanted):
    """Allow what rounding in float32 may move: a level here and there."""
    assert seen.shape == wanted.shape
    assert (np.abs(seen.astype(int) - wanted.astype(int)) <= 2).mean() > 0.99


def assert_explains(page, addresses, file, wanted, model):
    pixels, saliency = expected(file, wanted, SaliencyMap().compute_saliency_maps, model)
    _, cam = expected(file, wanted, GradCam().grad_cam, model)
    assert_same_picture(fetched(page, addresses[0]), picture(pixels, saliency, "saliency"))
    assert_same_picture(fetched(page, addresses[2]), picture(pixels, cam, "gradcam"))


def test_explain(visit, squeezenet):
    page, file = visit(), samples()[3]
    first = explained(page, file)
    with torch.no_grad():
        top = squeezenet(to_input(load_image(file, SIZE)[None]))[0].argsort(descending=True).tolist()
    assert_explains(page, first, file, top[0], squeezenet)
    page.get_by_role("button", name=re.compile(r"\d %$")).nth(1).click()
    second = changed(page, "#maps", first[0])
    assert_explains(page, second, file, top[1], squeezenet)

    page.get_by_text("Do these pixels matter?").click()
    slider = page.get_by_label("range slider for Deleted")
    slider.click(position={"x": slider.bounding_box()["width"] / 4, "y": slider.bounding_box()["height"] / 2})
    page.locator("#rest img").wait_for()
    gone = (fetched(page, sources(page, "#rest")[0]) != load_image(file, SIZE)).any(-1).mean()
    step = int(slider.input_value())
    assert 0 < step < 24
    assert abs(gone - step / 24) < 0.02, "but for pixels that were grey before"

    choose_class(page, "and not", "buckeye")
    page.locator("#maps img").nth(4).wait_for()

    page.get_by_role("button", name="Raw maps").click()
    link = page.locator("#files tr", has_text="saliency").first.locator("a")
    saved = np.load(downloaded(page, link.click).path())
    _, saliency = expected(file, top[1], SaliencyMap().compute_saliency_maps, squeezenet)
    assert np.linalg.norm(saved - saliency) < 1e-4 * np.linalg.norm(saliency)


def test_fool_and_verify(visit, tmp_path):
    page, file = visit(), samples()[3]
    explained(page, file)
    page.get_by_role("tab", name="Fool").click()
    choose_class(page, "Class to be seen", "gorilla")
    page.get_by_role("button", name="Fool the network").click()
    page.locator("#after").get_by_text("gorilla").first.wait_for()
    before, after, _ = (fetched(page, source) for source in sources(page, "#fooled"))
    assert np.array_equal(before, load_image(file, SIZE))
    assert 0 < np.abs(after.astype(int) - before).max() < 64
    png = tmp_path / "fooling.png"
    downloaded(page, page.locator("#fooling-png").click).save_as(png)
    assert np.array_equal(load_image(png), after)
    drop(page, "#verify", png)
    assert page.locator("#verdict").get_by_test_id("label-output-value").inner_text() == "gorilla"


def test_dream_and_cancel(visit, squeezenet):
    page = visit()
    page.get_by_role("tab", name="Dream").click()
    page.get_by_label("number input for Steps").fill("10")
    page.get_by_role("button", name="Dream", exact=True).click()
    download = finished(page, "#dreamt", dream.FILE)
    picture = ClassVisualization().create_class_visualization(
        366,
        {366: "gorilla"},
        squeezenet,
        torch.float32,
        recipe="modern",
        seed=0,
        num_iterations=10,
        generate_plots=False,
    )
    assert_same_picture(np.array(open_image(download.path())), np.array(picture))
    page.get_by_label("number input for Steps").fill("300")
    before = sources(page, "#dreamt")[0]
    page.get_by_role("button", name="Dream", exact=True).click()
    changed(page, "#dreamt", before)
    page.locator("#cancel").click()
    page.locator("#status [data-testid=status-tracker].hide").wait_for(state="attached")
    assert page.get_by_text("Error", exact=True).count() == 0


def test_paint_and_stop(visit):
    page = visit()
    page.locator("#samples button").nth(3).click()
    page.locator("#maps img").nth(2).wait_for()
    page.get_by_role("tab", name="Paint").click()
    page.locator("#paintings button").first.click()
    page.locator("#style img").wait_for()
    page.get_by_label("number input for Size").fill("64")
    page.get_by_label("course").and_(page.locator(":visible")).click()
    page.get_by_role("button", name="Paint", exact=True).click()
    page.locator("#painted img").wait_for()
    page.locator("#cancel").click()
    kept = np.array(open_image(finished(page, "#painted", paint.FILE).path()))
    assert min(kept.shape[:2]) == 64
    assert np.array_equal(kept, fetched(page, sources(page, "#painted")[0]))


def test_network_before_photograph(visit):
    page, file = visit(), samples()[3]
    page.get_by_text("Network", exact=True).click()
    page.get_by_label("random").click()
    page.get_by_role("button", name="Use this network").click()
    page.locator("#network").get_by_text("weights: random").wait_for()
    first = explained(page, file)
    assert page.get_by_test_id("toast-body").count() == 0
    network = load_network(weights="random")
    with torch.no_grad():
        top = int(network(to_input(load_image(file, SIZE)[None])).argmax())
    assert_explains(page, first, file, top, network)


def test_read(visit):
    page, file = visit(), samples()[3]
    explained(page, file)
    page.get_by_role("tab", name="Read").click()
    page.locator("#lines").get_by_text(file.name).first.wait_for()
    assert "python saliency_map.py" in page.locator("#commands").inner_text()
    assert "Simonyan" in page.locator("#papers").inner_text()
    assert "compute_saliency_maps" in page.locator("#source").inner_text()


def bad_files(folder):
    """Files that are not photographs, each with a part of the sentence that refuses it."""
    (folder / "letter.jpg").write_text("this is a letter")
    (folder / "large.jpg").write_bytes(bytes(40_000_000))
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    Image.new("1", (20000, 20000)).save(folder / "bomb.png")
    return {
        "letter.jpg": "'letter.jpg' is not an image",
        "large.jpg": "'large.jpg' has 40 MB; at most 30 MB",
        "drawing.svg": "'drawing.svg'",
        "bomb.png": "'bomb.png' has",
    }


def test_bad_uploads_get_one_sentence(visit, tmp_path):
    page = visit()
    for name, sentence in bad_files(tmp_path).items():
        drop(page, "#photograph", tmp_path / name)
        said = page.get_by_test_id("toast-body").get_by_text(sentence)
        said.wait_for()
        assert str(tmp_path) not in said.inner_text() and "/visit-" not in said.inner_text()
        page.get_by_test_id("toast-close").click()
        page.get_by_label("Remove Image").click()
    visit.errors.clear()  # the browser itself complains of pictures that are none
    explained(page, samples()[3])


def test_two_visitors_get_their_own(visit, squeezenet):
    one, two = visit(), visit()
    files = samples()[3], samples()[10]
    for page, file in zip((one, two), files, strict=True):
        drop(page, "#photograph", file)
    for page, file in zip((one, two), files, strict=True):
        page.locator("#maps img").nth(2).wait_for()
        with torch.no_grad():
            top = int(squeezenet(to_input(load_image(file, SIZE)[None]))[0].argmax())
        assert_explains(page, sources(page, "#maps"), file, top, squeezenet)


@pytest.mark.parametrize("width", [1280, 390])
def test_fits_the_window(visit, width):
    page = visit(width)
    explained(page, samples()[3])
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
