"""What the page does without a browser: its lines repeat its results, jobs end, visits stay apart and go."""

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

import fooling_image
from benchmarks import page as benchmark
from data.networks import load_network
from data.samples import package_folder
from image_utils.errors import InputError
from tests.conftest import ROOT
from tests.scripts import assert_refused, call
from trust import make_controls
from trust.judge import judge
from visualizers import FoolingImage, SaliencyMap

gradio = pytest.importorskip("gradio")
import gradio_client  # noqa: E402

from tabs import dream, explain, fool, layout, paint  # noqa: E402
from tabs import visit as visits  # noqa: E402

SAMPLE = package_folder("foolbox") / "data" / "imagenet_03_990.jpg"


def silent(*args):
    pass


@pytest.fixture
def visit(tmp_path):
    made = visits.Visit(tmp_path / "visit")
    made.folder.mkdir()
    made.show(made.keep(SAMPLE))
    return made


@pytest.fixture
def beside(visit, tmp_path, monkeypatch):
    """The folder in which a visitor has the photograph, with nothing of the page in it."""
    folder = tmp_path / "beside"
    folder.mkdir()
    (folder / SAMPLE.name).write_bytes(SAMPLE.read_bytes())
    monkeypatch.chdir(folder)
    return folder


def run_lines(visit, tab):
    exec(visit.recipes[tab][1], {})  # noqa: S102  (what a visitor is told to do)


def run_command(visit, tab, number=0):
    words = visit.recipes[tab][0].splitlines()[number].split()
    assert words[0] == "python"
    assert call(words[1].removesuffix(".py"), *words[2:])[0] == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda visit: explain.explain(visit, silent, 990, None, explain.METHODS, None, 1.0),
        lambda visit: explain.delete(visit, silent, "saliency", 990, None, 1),
        lambda visit: explain.measure(visit, silent, 990, ["saliency"], None),
        lambda visit: explain.files(visit, silent, 1.0),
    ],
)
def test_without_a_photograph_everything_asks_for_one(tmp_path, ask):
    with pytest.raises(InputError, match="there is no photograph yet"):
        ask(visits.Visit(tmp_path))


def test_a_network_chosen_first_explains_the_first_photograph(tmp_path):
    visit = visits.Visit(tmp_path)
    assert "**squeezenet1_0**" in layout.choose(visit, silent, "squeezenet1_0", "random", None)
    assert explain.begin(visit, silent, ["saliency"], 1.0) == gradio.skip()
    visit.show(SAMPLE)
    wanted = explain.begin(visit, silent, ["saliency"], 1.0)[1]
    x, network = visit.X(), load_network("squeezenet1_0", "random")
    assert wanted == network(x).argmax()
    saliency = SaliencyMap().compute_saliency_maps(x, torch.tensor([wanted]), network)
    assert np.array_equal(visit.maps["saliency"], saliency[0])


def test_explain_lines_give_the_same_bytes(visit, beside):
    explain.explain(visit, silent, 990, 3, [*explain.METHODS, "hires_cam"], "features.12", 1.0)
    files = explain.files(visit, silent, 1.0)["value"]
    run_lines(visit, "Explain")
    assert len(files) == 10
    for file in files[:-1]:
        name = Path(file).name
        assert (beside / name).read_bytes() == (visit.folder / name).read_bytes()


@pytest.mark.parametrize("method", ["minimal", "course"])
def test_fool_lines_give_the_same_bytes(visit, beside, method, monkeypatch):
    monkeypatch.setattr(fooling_image, "STEPS", 12)  # in the command line and, below, everywhere else
    monkeypatch.setitem(FoolingImage.make_minimal_fooling_image.__kwdefaults__, "steps", 12)
    (before, _), (after, _), (difference, title) = fool.fool(visit, silent, 6, method)[0]
    wanted = (visit.folder / fool.FILE).read_bytes()
    factor = int(title.removeprefix("difference x "))
    expected = np.clip(0.5 + factor * (after.astype(float) - before) / 255, 0, 1)
    assert np.array_equal(before, visit.pixels) and np.allclose(difference, expected)
    run_lines(visit, "Fool")
    assert (beside / fool.FILE).read_bytes() == wanted
    if method == "minimal":
        run_command(visit, "Fool")
        assert (beside / "visualization" / fool.FILE).read_bytes() == wanted


@pytest.mark.parametrize("recipe", ["course", "modern"])
def test_dream_lines_give_the_same_bytes(visit, beside, recipe):
    dream.dream(visit, silent, 366, recipe, 3, 5)
    wanted = (visit.folder / dream.FILE).read_bytes()
    run_lines(visit, "Dream")
    run_command(visit, "Dream")
    assert (beside / dream.FILE).read_bytes() == wanted
    written = beside / "visualization" / "class_visualization" / f"366_gorilla_{recipe}.png"
    assert written.read_bytes() == wanted


@pytest.mark.parametrize(
    ("solver", "network"), [("lbfgs", "squeezenet1_1"), ("course", "squeezenet1_1"), ("lbfgs", "vgg19")]
)
def test_paint_lines_give_the_same_bytes(visit, beside, solver, network):
    paint.take(visit, silent, paint.PAINTINGS[:1])
    with mock.patch.dict(paint.STEPS, {solver: 3}):
        paint.paint(visit, silent, 6.5, 64, network, solver)
        wanted, written = (visit.folder / paint.FILE).read_bytes(), beside / "styles_images" / paint.FILE
        for run_again in (run_lines, run_command):
            run_again(visit, "Paint")
            assert written.read_bytes() == wanted
            written.unlink()


def test_paint_keeps_what_is_there_when_ended(visit):
    paint.take(visit, silent, paint.PAINTINGS[:1])

    def tell(done, total, outputs=None):
        if done == 3:
            raise visits.Cancelled

    with Image.open(paint.paint(visit, tell, 5, 64, "squeezenet1_1", "course")) as picture:
        assert min(picture.size) == 64


def test_deletion_takes_the_share_asked_for(visit):
    rest, _ = explain.delete(visit, silent, "gradcam", 990, "features.12", 12)
    gone = (np.asarray(rest) != visit.pixels).any(-1).mean()
    assert 0.48 < gone <= 0.5, "half of the pixels, but those that were grey"


def test_measures_stand_beside_controls(visit, monkeypatch):
    for name, few in {"steps": 2, "masks": 4, "samples": 1}.items():
        monkeypatch.setitem(judge.__kwdefaults__, name, few)
    rows = explain.measure(visit, silent, 990, ["saliency"], "features.12")
    assert [row[0] for row in rows] == ["saliency", *make_controls()]
    assert {len(row) for row in rows} == {1 + len(explain.SHOWN)}


def asked(key):
    return SimpleNamespace(session_hash=key)


@pytest.fixture
def two():
    """Two visitors, and nothing of them afterwards."""
    yield asked("one"), asked("two")
    for key in ("one", "two"):
        visits.forget(key)


def test_visits_stay_apart_and_go(two):
    one, other = map(visits.visit_of, two)
    assert one is visits.visit_of(two[0])
    assert one.folder != other.folder
    visits.forget("one")
    assert not one.folder.exists()
    assert other.folder.exists()


def test_the_longest_away_is_forgotten(two, monkeypatch):
    first = visits.visit_of(two[0])
    monkeypatch.setattr(visits, "VISITORS", len(visits.visits))
    visits.visit_of(two[1])
    assert not first.folder.exists()


def test_one_computation_at_a_time_and_ended_before_or_while_it_runs(two):
    """The first runs, the second waits; both are ended, and nothing more of either is computed."""
    begun, paused, log = threading.Event(), threading.Event(), []

    def endless(visit, tell):
        log.append("first")
        begun.set()
        while True:
            tell(1, 2)
            paused.wait(0.01)

    def second(visit, tell):
        log.append("second")

    progress = mock.Mock()
    running = visits.streamed(endless)(two[0], progress)
    next(running)
    begun.wait()
    waiting = visits.streamed(second)(two[1], progress)
    assert next(waiting) == gradio.skip()
    assert mock.call(None, desc="Waiting for 1 before you") in progress.mock_calls
    for request in reversed(two):  # the one that waits first: it would have its turn once the other is gone
        visits.visit_of(request).cancel()
    for listener in (running, waiting):
        assert all(outputs == gradio.skip() for outputs in listener)
    assert log == ["first"]
    assert visits.visit_of(two[0]).running == {}


def test_a_visitor_who_leaves_ends_the_job(two):
    ended = threading.Event()

    def endless(visit, tell):
        try:
            while True:
                tell(1, 2)
        except visits.Cancelled:
            ended.set()

    listener = visits.streamed(endless)(two[0], mock.Mock())
    next(listener)
    listener.close()
    assert ended.wait(60)


def test_pictures_arrive_in_order_and_the_result_last(two):
    def work(visit, tell):
        for i in range(3):
            tell(i, 3, i)
        return "done"

    seen = [outputs for outputs in visits.streamed(work)(two[0], mock.Mock()) if outputs != gradio.skip()]
    assert seen[-1] == "done"


def test_what_is_wrong_is_one_sentence_without_folders(two):
    def work(visit, tell):
        raise InputError(f"'{visit.folder}/<b>cat.jpg' is not an image")

    with pytest.raises(gradio.Error) as caught:
        list(visits.streamed(work)(two[0], mock.Mock()))
    assert caught.value.message == "&#x27;&lt;b&gt;cat.jpg&#x27; is not an image"


def test_uploads_are_limited_and_stay_in_their_folder(visit, tmp_path):
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(40_000_000)
    with pytest.raises(InputError, match=r"'large.jpg' has 40 MB; at most 30 MB"):
        visit.keep(large)
    assert visit.keep(SAMPLE).parent == visit.folder
    ribbon = visit.folder / "ribbon.png"
    Image.new("RGB", (10, 2000)).save(ribbon)
    with pytest.raises(InputError, match="times as long"):
        visit.show(ribbon)
    assert visit.photograph.name == SAMPLE.name


def test_a_program_uses_its_events(monkeypatch, tmp_path):
    """Those that the benchmark names are there, and do over HTTP what a visitor's clicks do."""
    picked = []

    @functools.wraps(explain.pick)
    def pick(visit, tell, place, *rest):
        picked.append((visit.photograph, place, *rest))
        return explain_pick(visit, tell, place, *rest)

    explain_pick = explain.pick
    monkeypatch.setattr(explain, "pick", pick)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # as page.py does; files go there, Gradio's too
    page = layout.build().queue(api_open=False)
    _, address, _ = page.launch(quiet=True, prevent_thread_lock=True, ssr_mode=False)
    try:
        assert benchmark.use(address, gradio_client.Client, 2, iter("abc").__next__) == ["a", "b", "c"]
    finally:
        page.close(verbose=False)
        for key in list(visits.visits):
            visits.forget(key)
    assert picked == [(SAMPLE, place, None, benchmark.METHODS, benchmark.LAYER, 1.0) for place in (1, 2)]


def test_other_machines_need_a_password():
    assert_refused("page", "--host", "0.0.0.0", word="--password")


@contextlib.contextmanager
def serving(*arguments, folder):
    """Run page.py with its temporary files in `folder`; yields its address and the process."""
    command = [sys.executable, ROOT / "page.py", *arguments]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield re.search(r"http://\S+", process.stdout.readline())[0], process
        finally:
            process.kill()


def status(address):
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.status
    except urllib.error.HTTPError as problem:
        return problem.code


def test_password_files_and_the_end(tmp_path):
    with serving("--password", "secret", folder=tmp_path) as (address, process):
        source = f"{address.rstrip('/')}/gradio_api/file={ROOT / 'page.py'}"
        assert status(source) == 401
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        login = f"{address.rstrip('/')}/login"
        with pytest.raises(urllib.error.HTTPError):
            opener.open(login, b"username=me&password=wrong")
        assert opener.open(login, b"username=me&password=secret").status == 200
        with pytest.raises(urllib.error.HTTPError) as refused:
            opener.open(source)
        assert refused.value.code == 403
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 130
        assert list(tmp_path.glob("page-*")) == []
