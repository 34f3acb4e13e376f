"""`python -m explain --trust`: the measures in the manifest, and the table for the folder."""

import csv
import functools
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import attributions
from explain import judging, on_ray, runs, storage
from explain.listing import Shard
from explain.reading import read_photo, to_batch
from explain.shared_pass import OTHERS, make_ready
from explain.worker import Plan, Worker
from image_utils.errors import InputError
from tests.explain.commands import assert_refused, assert_same_run, explain
from tests.explain.folders import make_folder
from tests.small_networks import tiny_net
from trust.judge import MEASURES, judge

METHODS, CONTROLS = ("saliency", "hires_cam"), ("random order", "edges", "centred Gaussian")
QUICK = {"steps": 2, "masks": 4, "samples": 1}
ARGUMENTS = ("--methods", ",".join(METHODS), "--trust", "--batch-size", 1, "--shard-size", 1, "--device", "cpu")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Fewer steps; the full settings are for people."""
    monkeypatch.setattr(judging, "judge", functools.partial(judge, **QUICK))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("photographs") / "in"
    make_folder(place, 3, broken=1)
    return place


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "judge", functools.partial(judge, **QUICK))
        status, printed, said = explain(folder, "--out", out, *ARGUMENTS)
    assert (status, printed) == (0, "") and "1 with an error" in said
    return out


def test_the_manifest_has_the_numbers_of_each_photograph_alone(run, folder, squeezenet):
    rows = storage.read_manifest(run).to_pylist()
    assert [row["method"] for row in rows] == [*METHODS, *CONTROLS] * 3
    methods = attributions.methods(METHODS, layer="features.12")
    for first in range(0, len(rows), len(METHODS) + len(CONTROLS)):
        mine = rows[first : first + len(METHODS)]
        if mine[0]["error"]:
            assert all(mine[0][name] is None for name in MEASURES)
            continue
        x = to_batch([read_photo(folder / mine[0]["path"])], torch.device("cpu"))
        judged = judge(methods, squeezenet, x, torch.tensor([mine[0]["label"]]), **QUICK)
        for m, row in enumerate(mine):
            assert row["shard"] and row["blank"] is None and row["grid"] is None  # one photograph is no mosaic
            for name, numbers in judged.numbers.items():
                assert row[name] == pytest.approx(numbers[m, 0], abs=1e-4), name
    assert all(row["shard"] is None for row in rows if row["method"] in CONTROLS)


def test_the_table_is_the_means_of_the_manifest(run):
    rows = storage.read_manifest(run).to_pylist()
    record = json.loads((run / "trust.json").read_text())
    assert [row["name"] for row in record["methods"]] == [*METHODS, *CONTROLS]
    for row in record["methods"]:
        for name, interval in row["measures"].items():
            own = [r[name] for r in rows if r["method"] == row["name"] and r[name] is not None]
            assert interval["count"] == len(own)
            assert interval["mean"] == pytest.approx(np.mean(own), abs=1e-6)
    count = len({r["path"] for r in rows if r["deletion"] is not None})
    assert record["notes"][0].startswith(f"{count} photographs of ")
    assert "grid" not in record["measures"] and "Without the grid game" in record["notes"][1]
    with (run / "trust.csv").open() as file:
        assert [line["sentence"] for line in csv.DictReader(file)] == [m["sentence"] for m in record["methods"]]
    with Image.open(run / "trust.png") as figure:
        assert np.asarray(figure.convert("L"), float).std() > 5
    assert "trust.png" in (run / "index.html").read_text()


def test_a_run_that_was_stopped_goes_on(run, folder, tmp_path, monkeypatch):
    whole = Worker.run

    def stops(self, shard, **options):
        if shard.number == 2:
            raise InputError("the power fails")
        return whole(self, shard, **options)

    monkeypatch.setattr(Worker, "run", stops)
    out = tmp_path / "out"
    assert_refused(folder, "--out", out, *ARGUMENTS, "--workers", 1, word="the power fails")
    monkeypatch.setattr(Worker, "run", whole)
    assert "2 done before" in explain(folder, "--out", out, *ARGUMENTS, "--workers", 2)[2]
    assert_same_run(out, run)
    without = [a for a in ARGUMENTS if a != "--trust"]
    assert_refused(folder, "--out", out, *without, word="another trust")


def small(folder, out, **options):
    """A plan, and a network for it."""
    model = make_ready(tiny_net(dtype=torch.float32), torch.device("cpu"))
    names = [f"class {i}" for i in range(7)]
    return Plan(str(folder), str(out), METHODS, "maps", 2, names, "features.2", **options), model


def test_the_worker_of_ray_gives_the_same(folder, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    shard = Shard(0, 5, paths, [-1] * 3)
    plan, model = small(folder, tmp_path / "local", trust=True)
    Worker(plan, model, torch.device("cpu")).run(shard)
    elsewhere, model = small(folder, tmp_path / "ray", trust=True)
    monkeypatch.setattr(ray, "get", lambda held: held)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: type("Node", (), {"get_node_id": lambda self: "n"})())
    done = on_ray.Actor("cpu")({"shard": [shard.to_json()]}, [(elsewhere, model)])
    assert (done["files"], done["errors"]) == ([3], [1])
    for out in (tmp_path / "local", tmp_path / "ray"):
        storage.assemble(out, [0])
        runs.discard_parts(out)
    assert_same_run(tmp_path / "local", tmp_path / "ray")


def test_photographs_of_four_classes_play_the_grid_game(tmp_path):
    """A network that is sure of the strongest colour; four photographs of one colour each, and one of grey."""
    X = torch.zeros(5, 4, 8, 8)
    for n in range(4):
        X[n, n] = 1

    class Colours(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.full((4,), 9.0))

        def forward(self, x):
            return self.scale * x.mean((2, 3))

    found = judging.judge_batch(Colours(), X, torch.zeros(5, dtype=torch.int64), ("input_x_gradient",), None, 0)
    assert list(found) == ["input_x_gradient", *CONTROLS]
    shares = [facts["grid"] for facts in found["input_x_gradient"]]
    assert shares == [1, 1, 1, 1, None]  # the gradient times the input lies on the right photograph alone
    assert found["centred Gaussian"][0]["grid"] == pytest.approx(0.25)


def test_why_a_map_is_blank_is_a_column(folder, tmp_path):
    plan, model = small(folder, tmp_path / "out")
    with torch.no_grad():
        model.head.weight.zero_()
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    Worker(plan, model, torch.device("cpu")).run(Shard(0, 0, paths, [-1] * 3))
    rows = storage.read_manifest(tmp_path / "out").to_pylist()
    said = [row["blank"] for row in rows if row["error"] is None]
    assert len(said) == 4 and all("no gradient by any pixel" in one for one in said)
    assert all(row["blank"] is None for row in rows if row["error"])


class PlainNet(nn.Module):
    """A network that all of Captum's methods take: every module of a kind that they know, and used once."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            first, second = nn.Conv2d(3, 4, 5, stride=4), nn.Conv2d(4, 7, 3)
        self.layers = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.eval()

    def forward(self, x):
        return self.layers(x).flatten(1)


def test_all_methods_are_taken_and_stored(tmp_path):
    """Ours beyond the four, and Captum's: what is stored is what `attributions` computes."""
    make_folder(tmp_path / "in", 1, size=60)
    (path,) = (p.relative_to(tmp_path / "in").as_posix() for p in (tmp_path / "in").rglob("*.jpg"))
    names = tuple(name for name in OTHERS if name != "rise")  # 500 passes, and its own test
    model = make_ready(PlainNet(), torch.device("cpu"))
    plan, _ = small(tmp_path / "in", tmp_path / "out")
    plan = Plan(**vars(plan) | {"methods": (*METHODS[:1], *names), "save": "both", "layer": "layers.2"})
    Worker(plan, model, torch.device("cpu")).run(Shard(0, 0, [path], [3]))
    storage.assemble(tmp_path / "out", [0])
    x = to_batch([read_photo(tmp_path / "in" / path)], torch.device("cpu"))
    for name, method in attributions.methods(names, layer="layers.2").items():
        expected = torch.as_tensor(method(x, torch.tensor([3]), model))[0].float().numpy()
        found = storage.read(tmp_path / "out", path, name)
        assert found.shape == (224, 224) and found.any()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * abs(expected).max())
    assert len(list((tmp_path / "out" / "overlays").rglob("*.jpg"))) == len(names) + 1


def test_methods_are_named():
    assert_refused("nowhere", "--methods", "salency", word="integrated_gradients")
