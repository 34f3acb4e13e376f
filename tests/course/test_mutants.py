"""Every wrong submission gets the points it deserves, and feedback that names the mistake."""

import socket
import subprocess
from contextlib import closing

import pytest

from course import parts
from course.autograder.unpack import read_submission, write_files
from course.handout import ROOT
from tests.mutants.ascents import ASCENTS
from tests.mutants.hostile import HOSTILE
from tests.mutants.losses import LOSSES
from tests.mutants.techniques import TECHNIQUES
from tests.mutants.updates import UPDATES

HIDDEN_LOOP = """
def total(img):
    loss = 0.0
    for i in range(img.shape[2] - 1):
        loss = loss + (img[:, :, i + 1] - img[:, :, i]).square().sum()
    for j in range(img.shape[3] - 1):
        loss = loss + (img[..., j + 1] - img[..., j]).square().sum()
    return loss
"""
TCP, SIGNALS = 4, 6  # the versions of Landlock from which on it stops these
MUTANTS = [*LOSSES, *UPDATES, *TECHNIQUES, *ASCENTS, *HOSTILE]


def test_there_are_enough_and_each_has_its_name():
    assert len(MUTANTS) >= 120 and len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert {part for mutant in MUTANTS for part in mutant.points} <= set(parts.EVERY)


@pytest.fixture
def world(tmp_path):
    """What hostile submissions aim at: a folder with a file, a process, and a server that waits for a call."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o777)
    (victim / "keep").write_text("")
    process = subprocess.Popen(["sleep", "1000"])
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.setblocking(False)
        facts = {
            "GRADER": str(ROOT),
            "VICTIM": str(victim),
            "PROCESS": process.pid,
            "PORT": server.getsockname()[1],
        }
        yield facts, victim, process, server
    process.kill()
    process.wait()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant(mutant, sandbox, marked, solution, tmp_path, world):
    facts, victim, process, server = world
    submission = tmp_path / "submission"
    write_files(read_submission(solution)[0], submission)
    for file, text in mutant.files().items():
        known = "".join(f"{key} = {value!r}\n" for key, value in facts.items() if key in text)
        (submission / file).write_text(known + text)
    (submission / "style_modules" / "hidden.py").write_text(HIDDEN_LOOP)
    attacked, *others = mutant.points
    results = [
        marked(submission, (attacked,), without=mutant.without, **mutant.limits),
        *(marked(submission, (part,), without=mutant.without) for part in others),
    ]
    points = {part: result.score(part) for part, result in zip(mutant.points, results, strict=True)}
    said = "\n".join(test["output"] for result in results for test in result.as_dict()["tests"])
    assert points == mutant.points, said
    how = sandbox.confined
    if all(how[need] for need in mutant.needs):
        assert mutant.says in said, said
    assert "left in" not in said or not how["landlock"], said
    if how["uid"] is not None or how["landlock"] >= SIGNALS:
        assert process.poll() is None
    if how["uid"] is not None or how["landlock"]:
        assert (victim / "keep").is_file()
    if how["offline"] or how["landlock"] >= TCP:
        with pytest.raises(BlockingIOError):
            server.accept()
