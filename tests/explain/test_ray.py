"""Ray gives what one machine gives: on two nodes, with one of them killed, and with mistakes in a line."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from explain.on_ray import cluster, shadowed
from tests.conftest import ROOT
from tests.explain.commands import assert_refused, assert_same_run, explain
from tests.explain.folders import make_folder

pytest.importorskip("ray")
pq = pytest.importorskip("pyarrow.parquet")

COUNT, BROKEN, SHARD = 24, 4, 2
STARTS = 10  # of a node
ARGUMENTS = ("--methods", "saliency,gradcam", "--batch-size", SHARD, "--shard-size", SHARD, "--device", "cpu")

# `python -m explain`, whose actors wait for one another: however slowly a node starts, both have finished a shard,
# and both hold another, when one is killed.
WAITING = """
import sys, time
from pathlib import Path
from command_line import run
from explain import on_ray
from explain.command import main

signs = Path(sys.argv.pop(1))

class WaitingActor(on_ray.Actor):
    calls = 0

    def __call__(self, batch, held):
        import ray

        self.calls += 1
        if self.calls <= 2:
            (signs / f"{self.calls}-{ray.get_runtime_context().get_node_id()}").touch()
        while self.calls <= 2 and len(list(signs.glob("1-*"))) < 2:
            time.sleep(0.01)
        while self.calls == 2 and not (signs / "killed").exists():
            time.sleep(0.01)
        return super().__call__(batch, held)

on_ray.Actor = WaitingActor
run(main)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("photographs") / "in"
    make_folder(place, COUNT, broken=BROKEN)
    return place


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Start a node again that died in starting, and wait for it as long as it lives.

    On a busy machine it dies: its helpers must answer within 15 seconds, which is a constant of Ray's
    (ray-project/ray, issue 65983), and Ray gives up on it after 30.
    """
    from ray import NodeID
    from ray._private import ray_constants, services
    from ray._private.node import Node

    start = Node.start_raylet

    def is_there(node):
        with contextlib.suppress(RuntimeError):
            return services.get_node(node.gcs_address, node._node_id)

    def start_until_it_is_there(node, *arguments, **options):
        for _ in range(STARTS):
            start(node, *arguments, **options)
            (raylet,) = node.all_processes[ray_constants.PROCESS_TYPE_RAYLET]
            while raylet.process.poll() is None:
                if is_there(node):
                    return
                time.sleep(0.1)
            del node.all_processes[ray_constants.PROCESS_TYPE_RAYLET]
            node._node_id = NodeID.from_random().hex()  # the dead one stays dead
            for socket in (node._raylet_socket_name, node._plasma_store_socket_name):
                Path(socket).unlink(missing_ok=True)
        raise RuntimeError(f"the node died {STARTS} times in starting")

    monkeypatch.setattr(Node, "start_raylet", start_until_it_is_there)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15, as Ray has it, is next to nothing on a busy machine


@pytest.fixture
def nodes():
    """A cluster of two nodes, one core each, without what only people look at: (cluster, the one to be killed)."""
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_log_monitor": False}
    soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 200}  # that a node is dead is noticed
    head = options | {"include_dashboard": False, "no_monitor": True, "_system_config": soon}
    with shadowed():
        two = Cluster(initialize_head=True, head_node_args=head)
    try:
        with shadowed():
            second = two.add_node(**options)
        yield two, second
    finally:
        two.shutdown()


def test_two_nodes_and_one_killed_in_the_middle(folder, nodes, tmp_path):
    two, second = nodes
    out, signs = tmp_path / "out", tmp_path / "signs"
    signs.mkdir()
    arguments = (signs, folder, "--out", out, *ARGUMENTS, "--engine", "ray", "--ray-address", two.address)
    running = subprocess.Popen(
        [sys.executable, "-c", WAITING, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while running.poll() is None and len(list(signs.glob("2-*"))) < 2:
        time.sleep(0.02)
    assert running.poll() is None, running.communicate()
    two.remove_node(second, allow_graceful=False)
    (signs / "killed").touch()
    printed, said = running.communicate()
    assert (running.returncode, printed) == (0, ""), said
    summary = said.splitlines()[-1]
    assert summary.startswith(f"explain: {COUNT} images, {BROKEN} with an error; {COUNT} now in "), said
    assert summary.endswith("on 2 Ray nodes"), said
    assert explain(folder, "--out", tmp_path / "local", *ARGUMENTS)[0] == 0
    assert_same_run(out, tmp_path / "local")


def test_what_cannot_be_written_is_said_by_name(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # from where no process of Ray's finds the code by itself
    arguments = (folder, "--out", tmp_path / "out", *ARGUMENTS, "--limit", SHARD)
    assert explain(*arguments)[0] == 0
    (tmp_path / "out" / "manifest.parquet").unlink()
    shutil.rmtree(tmp_path / "out" / "maps")
    (tmp_path / "out" / "maps").write_text("a file where a folder should be")
    status, printed, said = explain(*arguments, "--engine", "ray")
    assert (status, printed) == (2, "") and said.count("\n") == 1, said
    assert said.startswith("explain: error: cannot write '") and "/maps/000000" in said, said
    assert not list((tmp_path / "out").glob("parts/*"))


def test_processes_start_without_what_is_slow_to_import(monkeypatch):
    code = "import image_utils, rfc3987_syntax"
    path = list(sys.path)
    for before in (None, "elsewhere"):
        monkeypatch.delenv("PYTHONPATH", raising=False)
        if before is not None:
            monkeypatch.setenv("PYTHONPATH", before)
        with shadowed():
            said = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True).stderr
            assert said.endswith("ImportError: not for Ray\n"), said
            assert before is None or os.environ["PYTHONPATH"].endswith(os.pathsep + before)
        assert os.environ.get("PYTHONPATH") == before and sys.path == path


def test_only_a_cluster_of_ones_own_is_started_and_without_a_dashboard(monkeypatch):
    import ray

    seen = []
    monkeypatch.setattr(ray, "init", lambda **options: seen.append(options))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for address in (None, "auto"):
        with cluster(address) as found:
            assert found is ray
    assert [options["address"] for options in seen] == ["local", "auto"]
    assert [options.get("include_dashboard") for options in seen] == [False, None]


def test_a_bad_address_is_refused(folder, tmp_path, monkeypatch):
    from ray._private import services

    for finds, nothing in (("find_gcs_addresses", set()), ("find_bootstrap_address", None)):
        monkeypatch.setattr(services, finds, lambda *_, found=nothing: found)  # whatever else this machine runs
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
