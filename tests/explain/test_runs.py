"""Runs on one machine: what they leave, whatever stops them."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

pytest.importorskip("pyarrow")

from explain import read, runs, storage
from explain.shared_pass import METHODS
from image_utils.errors import InputError
from tests.conftest import ROOT
from tests.explain.commands import (
    assert_refused,
    assert_same_but_for_kinks,
    assert_same_run,
    distance,
    explain,
    files,
    manifest,
    maps,
)
from tests.explain.folders import make_folder
from visualizers import GradCam, SaliencyMap

COUNT, BROKEN = 44, 4
SMALL = ("--batch-size", 4, "--shard-size", 8, "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("photographs") / "in"
    make_folder(place, COUNT, broken=BROKEN)
    (place / "notes.txt").write_text("no image, and not taken for one")
    return place


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("run") / "out"
    status, printed, said = explain(folder, "--out", out, "--save", "both", *SMALL)
    assert (status, printed) == (0, "")
    assert said.startswith(f"explain: {COUNT} images, {BROKEN} with an error; {COUNT} now in ")
    assert said.endswith("; 1 other file passed over\n")
    return out


def test_the_manifest_has_a_row_for_each_image_and_method(folder, finished):
    rows = storage.read_manifest(finished).to_pylist()
    paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.jpg"))
    assert [(r["path"], r["method"]) for r in rows] == [(path, method) for path in paths for method in METHODS]
    broken = [r for r in rows if r["error"]]
    assert len(broken) == BROKEN * len(METHODS)
    assert all(r["sha256"] and r["label"] is None and r["shard"] is None and r["seconds"] is None for r in broken)
    for r in (r for r in rows if not r["error"]):
        assert r["label"] == r["top5"][0] and r["name"] == r["top5_names"][0] and r["seconds"] > 0
        assert 0 < sum(r["top5_probabilities"]) <= 1.001 and len(r["top5"]) == 5
        assert r["width"] >= 160 and (finished / r["overlay"]).is_file()


def test_a_map_is_what_the_visualizer_returns_for_the_image_alone(folder, finished, squeezenet):
    from explain.reading import read_photo, to_batch

    rows = [r for r in storage.read_manifest(finished).to_pylist() if not r["error"]][:: 4 * 5]
    distances = {method: [] for method in METHODS}
    for row in rows:
        x = to_batch([read_photo(folder / row["path"])], "cpu").contiguous()
        y = torch.tensor([row["label"]])
        cam = GradCam().grad_cam(x, y, squeezenet)[0]
        details = GradCam().guided_backprop(x, y, squeezenet)[0]
        expected = {
            "saliency": SaliencyMap().compute_saliency_maps(x, y, squeezenet)[0].numpy(),
            "gradcam": cam,
            "guided_backprop": details,
            "guided_gradcam": details * cam[..., None],
        }
        for method, wanted in expected.items():
            distances[method].append(distance(read(finished, row["path"], method), wanted))
    for found in distances.values():
        assert_same_but_for_kinks(found)


def test_read_says_what_is_missing(finished, tmp_path):
    rows = storage.read_manifest(finished).to_pylist()
    broken = next(r for r in rows if r["error"])
    for path, method, word in (
        ("nowhere.jpg", "gradcam", "no gradcam of 'nowhere.jpg'"),
        (rows[0]["path"], "occlusion", "no occlusion"),
        (broken["path"], "gradcam", broken["error"].split(":")[0]),
    ):
        with pytest.raises(InputError, match=word):
            read(finished, path, method)
    with pytest.raises(InputError, match="holds no manifest"):
        read(tmp_path, "a.jpg", "gradcam")


def test_the_page_shows_the_first_images(finished):
    page = (finished / "index.html").read_text()
    pictures = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert len(pictures) == (COUNT - BROKEN) * (1 + len(METHODS))
    assert all((finished / picture).is_file() for picture in pictures)
    assert page.count('class="error"') == BROKEN


def test_batch_size_and_workers_do_not_matter(folder, finished, tmp_path):
    common = (folder, "--methods", "saliency,guided_gradcam", "--device", "cpu")
    assert explain(*common, "--out", tmp_path / "a", "--workers", 1, *SMALL)[0] == 0
    assert explain(*common, "--out", tmp_path / "b", "--workers", 3, *SMALL)[0] == 0
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert explain(*common, "--out", tmp_path / "c", "--batch-size", 7)[0] == 0
    one, other, all_methods = maps(tmp_path / "a"), maps(tmp_path / "c"), maps(finished)
    assert one.keys() == other.keys() < all_methods.keys()
    for others in (other, all_methods):
        assert_same_but_for_kinks([distance(others[key], one[key]) for key in one])
    columns = ["path", "sha256", "label", "top5", "error", "method"]
    assert manifest(tmp_path / "a").select(columns).equals(manifest(tmp_path / "c").select(columns))


# The command three times, each time killed when it has written so many files, before it moves the next one into
# place. Every such moment is a place in the code, so nothing depends on how fast the machine is.
KILLS = """
import itertools, os, signal, sys
from pathlib import Path
import torch
from command_line import run
from explain.command import main
import explain.job, PIL.JpegImagePlugin, torchvision
arguments, parts = sys.argv[1:-1], Path(sys.argv[-1])
move = Path.replace
def start(moves):
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        sys.argv = ["explain", *arguments]
        counter = itertools.count()
        def counted(*paths):
            if next(counter) >= moves:
                os.kill(os.getpid(), signal.SIGKILL)
            return move(*paths)
        Path.replace = counted
        try:
            run(main)
        finally:
            os._exit(0)
    return child
for moves in (180, 91, 33):
    _, status = os.waitpid(start(moves), 0)
    print(os.WTERMSIG(status), len(list(parts.glob("[0-9]*"))), flush=True)
"""


def test_killed_three_times_and_resumed(folder, finished, tmp_path):
    out = tmp_path / "out"
    arguments = [folder, "--out", out, "--save", "both", "--workers", 2, *SMALL]
    killed = subprocess.run(
        [sys.executable, "-c", KILLS, *map(str, arguments), str(out / "parts")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    signals, counts = zip(*(map(int, line.split()) for line in killed.stdout.splitlines()), strict=True)
    assert signals == (9, 9, 9) and 0 < counts[0] <= counts[1] <= counts[2] < 6, killed
    shards = {file.name: file.stat().st_mtime_ns for file in (out / "maps").glob("[0-9]*")}
    trusted = [part.stem for part in (out / "parts").glob("[0-9]*")]
    assert list(out.rglob(".*-*")), "the kill left no half-written file"
    status, _, said = explain(*arguments)
    assert status == 0 and "done before" in said, said
    for stem in trusted:
        name = f"{stem}.arrow"
        assert (out / "maps" / name).stat().st_mtime_ns == shards[name], "finished work was done again"
    assert_same_run(out, finished)
    before = files(out)
    assert explain(*arguments)[2] == f"explain: {COUNT} images, {BROKEN} with an error; {COUNT} done before; " + (
        "1 other file passed over\n"
    )
    assert files(out) == before


def test_a_shard_that_was_cut_short_is_not_trusted(folder, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    from pyarrow import parquet

    rows = storage.read_manifest(out).to_pylist()
    (out / storage.MANIFEST).unlink()
    size = 8 * len(METHODS)
    for number in range(-(-COUNT // 8)):
        storage.write_part(out, number, rows[number * size : (number + 1) * size])
    with (out / "maps" / "0000002.arrow").open("r+b") as file:
        file.truncate(1000)
    (out / "maps" / "0000003.arrow").unlink()
    storage.part_file(out, 4).write_bytes(b"PAR1 half a part")
    (out / "maps" / ".0000001-abc.arrow").write_bytes(b"left by a kill")
    assert parquet.read_metadata(storage.part_file(out, 0)).num_rows == size
    status, _, said = explain(folder, "--out", out, "--save", "both", *SMALL)
    assert status == 0 and f", {BROKEN} with an error; 20 done before" in said, said
    assert_same_run(out, finished)


def test_two_runs_into_one_folder_are_refused(folder, finished):
    before = files(finished)
    with runs.locked(finished):
        assert_refused(folder, "--out", finished, "--save", "both", *SMALL, word="another run is writing there")
    assert files(finished) == before


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("--methods", "saliency"), "another methods"),
        (("--batch-size", 5), "another batch_size"),
        (("--limit", 5), "another limit"),
        (("--weights", "random"), "another weights"),
        (("--network", "squeezenet1_0", "--weights", "random"), "another network"),
    ],
)
def test_a_resume_with_other_settings_is_refused(folder, finished, change, word):
    before = files(finished)
    assert_refused(folder, "--out", finished, "--save", "both", *SMALL, *change, word=word)
    assert files(finished) == before


def test_strict_exits_with_one(folder, tmp_path):
    arguments = ("--methods", "gradcam", "--save", "overlays", *SMALL)
    status, _, said = explain(folder, "--out", tmp_path / "a", *arguments, "--strict")
    assert status == 1 and f"{BROKEN} with an error" in said
    assert not (tmp_path / "a" / "maps").exists()
    path = manifest(tmp_path / "a")["path"][0].as_py()
    with pytest.raises(InputError, match="not saved"):
        read(tmp_path / "a", path, "gradcam")


def test_labels_from_a_table(folder, tmp_path):
    paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.jpg"))[:4]
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(f"{p},tabby\n" for p in paths[:-1]))
    arguments = ("--methods", "saliency", "--limit", 4, *SMALL)
    status, _, said = explain(folder, "--out", tmp_path / "out", "--labels", tmp_path / "labels.csv", *arguments)
    assert status == 0 and "4 images, 1 with an error" in said
    rows = manifest(tmp_path / "out").to_pylist()
    assert [r["label"] for r in rows] == [281, 281, 281, None]
    assert rows[3]["error"] == "it has no label in labels.csv"
    assert all(r["top5"][0] != 281 for r in rows[:3])


def test_a_folder_of_nothing_but_broken_files(tmp_path):
    for name in ("a.jpg", "b.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    status, _, said = explain(tmp_path / "in", "--out", tmp_path / "out", *SMALL)
    assert status == 0 and "2 images, 2 with an error" in said
    assert not (tmp_path / "out" / "maps").exists()


def test_names_that_are_no_text(folder, tmp_path):
    source = next(folder.rglob("*0.jpg"))
    (tmp_path / "in").mkdir()
    try:
        shutil.copy(source, os.fsencode(tmp_path / "in") + b"/\xff\xfe.jpg")
    except OSError:
        pytest.skip("this file system takes no such names")
    assert explain(tmp_path / "in", "--out", tmp_path / "out", "--methods", "saliency", *SMALL)[0] == 0
    assert read(tmp_path / "out", "\\xff\\xfe.jpg", "saliency").shape == (224, 224)


def test_a_damaged_record_of_settings(folder, tmp_path):
    arguments = (folder, "--out", tmp_path / "out", "--methods", "saliency", "--limit", 2, *SMALL)
    assert explain(*arguments)[0] == 0
    (tmp_path / "out" / "run.json").write_text("{")
    assert_refused(*arguments, word="cannot be read")


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", place], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk(folder, small_disk, tmp_path):
    arguments = ("--methods", "saliency", *SMALL)
    assert_refused(folder, "--out", small_disk / "out", *arguments, word="No space left on device")
    left = [part.stem for part in (small_disk / "out" / "parts").glob("[0-9]*")]
    assert not list(small_disk.rglob(".*-*")), "half-written files were left"
    assert not (small_disk / "out" / "manifest.parquet").exists()
    subprocess.run(["mount", "-o", "remount,size=60m", small_disk], check=True)
    status, _, said = explain(folder, "--out", small_disk / "out", *arguments)
    assert status == 0 and (not left or "done before" in said), said
    assert explain(folder, "--out", tmp_path / "out", *arguments)[0] == 0
    assert_same_run(small_disk / "out", tmp_path / "out")


def test_a_read_only_disk(folder, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert_refused(folder, "--out", small_disk / "out", *SMALL, word="read-only")


def test_settings_say_what_determines_the_result(finished):
    settings = json.loads((finished / "run.json").read_text())
    assert settings["layer"] == "features.12" and settings["methods"] == list(METHODS)
    assert not {"device", "engine", "workers"} & settings.keys()


def test_a_network_without_relus_gets_the_methods_that_apply(folder, tmp_path):
    arguments = (folder, "--network", "efficientnet_b0", "--weights", "random", "--limit", 2, *SMALL)
    status, _, said = explain(*arguments, "--out", tmp_path / "out")
    first, last = said.splitlines()
    assert status == 0 and last.startswith("explain: 2 images, 0 with an error")
    assert first.startswith("explain: without guided_backprop, guided_gradcam: the network runs no ReLU")
    assert set(manifest(tmp_path / "out")["method"].to_pylist()) == {"saliency", "gradcam"}
    assert_refused(*arguments, "--out", tmp_path / "other", "--methods", "guided_backprop", word="no ReLU")
