"""A worker gives the same whichever way it reads."""

import torch

from data import load_network
from data.labels import names_for
from explain import runs, storage
from explain.listing import Shard
from explain.shared_pass import make_ready
from explain.worker import Plan, Worker
from tests.explain.commands import assert_same_run
from tests.explain.folders import make_folder


def test_threads_that_read_change_nothing(tmp_path):
    make_folder(tmp_path / "in", 5, broken=1)
    paths = sorted(path.relative_to(tmp_path / "in").as_posix() for path in (tmp_path / "in").rglob("*.jpg"))
    shard = Shard(0, 0, paths, [-1] * 5)
    model, cpu = make_ready(load_network(), torch.device("cpu")), torch.device("cpu")
    for out, readers in (("one", 1), ("several", 3)):
        folders = str(tmp_path / "in"), str(tmp_path / out)
        plan = Plan(*folders, ("gradcam",), "both", 2, names_for(1000), "features.12")
        done = Worker(plan, model, cpu, readers=readers).run(shard)
        assert (done.files, done.errors) == (5, 1)
        storage.assemble(tmp_path / out, [0])
        runs.discard_parts(tmp_path / out)  # they hold times
    assert_same_run(tmp_path / "one", tmp_path / "several")
