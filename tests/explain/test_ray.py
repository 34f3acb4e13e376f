"""Ray gives what one machine gives: on two nodes, with one of them killed, and with mistakes in a line."""

import shutil
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.explain.commands import assert_refused, assert_same_run, explain
from tests.explain.folders import make_folder

pytest.importorskip("ray")
pq = pytest.importorskip("pyarrow.parquet")

COUNT, BROKEN = 480, 20  # long enough for the slower node to be there before the end
ARGUMENTS = ("--methods", "saliency,gradcam", "--batch-size", 4, "--shard-size", 4, "--device", "cpu")


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


def places(out):
    """The nodes that have finished a shard so far."""
    metadata = [pq.read_schema(part).metadata for part in (out / "parts").glob("[0-9]*.parquet")]
    return {each[b"place"] for each in metadata}


def test_two_nodes_and_one_killed_in_the_middle(folder, local, nodes, tmp_path):
    cluster, second = nodes
    out = tmp_path / "out"
    command = [
        "-m",
        "explain",
        folder,
        "--out",
        out,
        *ARGUMENTS,
        "--engine",
        "ray",
        "--ray-address",
        cluster.address,
    ]
    running = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while running.poll() is None and len(places(out)) < 2:
        time.sleep(0.02)
    left = COUNT // 4 - len(list((out / "parts").glob("[0-9]*")))
    assert running.poll() is None and left > 0, "the run ended before both nodes had done a part"
    cluster.remove_node(second, allow_graceful=False)
    printed, said = running.communicate(timeout=240)
    assert (running.returncode, printed) == (0, ""), said
    summary = said.splitlines()[-1]
    assert summary.startswith(f"explain: {COUNT} images, {BROKEN} with an error; {COUNT} now in "), said
    assert summary.endswith("on 2 Ray nodes"), said
    assert_same_run(out, local)


def test_what_cannot_be_written_is_said_by_name(folder, tmp_path):
    arguments = (folder, "--out", tmp_path / "out", *ARGUMENTS, "--limit", 8)
    assert explain(*arguments)[0] == 0
    (tmp_path / "out" / "manifest.parquet").unlink()
    shutil.rmtree(tmp_path / "out" / "maps")
    (tmp_path / "out" / "maps").write_text("a file where a folder should be")
    status, printed, said = explain(*arguments, "--engine", "ray")
    assert (status, printed) == (2, "") and said.count("\n") == 1, said
    assert said.startswith("explain: error: cannot write '") and "/maps/000000" in said, said
    assert not list((tmp_path / "out").glob("parts/*"))


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
        assert not (tmp_path / "out" / "parts").exists()


def test_without_ray_there_is_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = (folder, "--out", tmp_path / "out", *ARGUMENTS, "--engine", "ray")
    assert_refused(*arguments, word="the package ray is not installed; pip install -r requirements-ray.txt")
    assert not (tmp_path / "out").exists()
