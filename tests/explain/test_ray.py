"""Ray gives what one machine gives: on two nodes, with one of them killed, and with mistakes in a line."""

import os
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.explain.commands import assert_refused, assert_same_run, explain
from tests.explain.folders import make_folder

pytest.importorskip("ray")
pytest.importorskip("pyarrow")

COUNT, BROKEN = 120, 15
ARGUMENTS = ("--methods", "saliency,guided_gradcam", "--batch-size", 4, "--shard-size", 4, "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("photographs") / "in"
    make_folder(place, COUNT, broken=BROKEN)
    return place


@pytest.fixture(scope="module")
def local(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("local") / "out"
    assert explain(folder, "--out", out, *ARGUMENTS)[0] == 0
    return out


@pytest.fixture
def nodes(monkeypatch):
    """A cluster of two nodes, one core each: (cluster, the node that may be killed)."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=options | {"include_dashboard": False})
    try:
        yield cluster, cluster.add_node(**options)
    finally:
        cluster.shutdown()


def start(folder, out, address):
    arguments = ["-m", "explain", folder, "--out", out, *ARGUMENTS, "--engine", "ray", "--ray-address", address]
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_nodes_and_one_killed_in_the_middle(folder, local, nodes, tmp_path):
    cluster, second = nodes
    whole = start(folder, tmp_path / "whole", cluster.address)
    printed, said = whole.communicate(timeout=240)
    assert (whole.returncode, printed) == (0, ""), said
    assert said.startswith(f"explain: {COUNT} images, {BROKEN} with an error; {COUNT} now in "), said
    assert said.endswith("on 2 Ray nodes\n"), said
    assert_same_run(tmp_path / "whole", local)

    out = tmp_path / "killed"
    broken = start(folder, out, cluster.address)
    parts = out / "parts"
    while broken.poll() is None and not (parts.is_dir() and len(os.listdir(parts)) >= 4):  # noqa: PTH208
        time.sleep(0.02)
    assert broken.poll() is None, "the run ended before the node could be killed"
    cluster.remove_node(second, allow_graceful=False)
    printed, said = broken.communicate(timeout=240)
    assert (broken.returncode, printed) == (0, ""), said
    assert_same_run(out, local)


def test_a_bad_address_is_refused(folder, tmp_path):
    for address, word in (
        ("127.0.0.1:1", "nothing answers"),
        ("nowhere.invalid:6379", "nothing answers"),
        ("6379", "is none"),
        ("head", "is none"),
        ("auto", "no Ray cluster"),
    ):
        arguments = (folder, "--out", tmp_path / "out", *ARGUMENTS, "--engine", "ray", "--ray-address", address)
        assert_refused(*arguments, word=word)


def test_without_ray_there_is_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = (folder, "--out", tmp_path / "out", *ARGUMENTS, "--engine", "ray")
    assert_refused(*arguments, word="the package ray is not installed; pip install -r requirements-ray.txt")
