"""Every wrong submission gets the points it deserves, and feedback that names the mistake."""

import os
import socket
from contextlib import closing

import pytest

from course import parts
from course.autograder.grade import grade
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
MUTANTS = [*LOSSES, *UPDATES, *TECHNIQUES, *ASCENTS, *HOSTILE]


def test_there_are_enough_and_each_has_its_name():
    assert len(MUTANTS) >= 30 and len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.fixture
def world(tmp_path):
    """What hostile submissions aim at: a folder with a file, and a server that waits for a call."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o777)
    (victim / "keep").write_text("")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.setblocking(False)
        facts = {
            "GRADER": str(ROOT),
            "GRADER_PID": os.getpid(),
            "VICTIM": str(victim),
            "PORT": server.getsockname()[1],
        }
        yield facts, victim, server


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant(mutant, sandbox, skeleton, solution, tmp_path, world):
    facts, victim, server = world
    files, _ = read_submission(solution)
    submission = tmp_path / "submission"
    write_files(files, submission)
    for file, text in mutant.files().items():
        known = "".join(f"{key} = {value!r}\n" for key, value in facts.items() if key in text)
        (submission / file).write_text(known + text)
    (submission / "style_modules" / "hidden.py").write_text(HIDDEN_LOOP)
    results_file = tmp_path / "results.json"
    wall = 3 if mutant.name.startswith("hostile") else 60
    results = grade(
        submission, sandbox, skeleton, parts=tuple(mutant.points), path=results_file, seed=1, wall=wall
    )
    assert {part: results.score(part) for part in mutant.points} == mutant.points, results.table()
    said = "\n".join(results.messages)
    assert mutant.says in said, said
    assert "left in" not in said or not sandbox.confined["landlock"], said
    assert results_file.is_file() and (victim / "keep").is_file()
    with pytest.raises(BlockingIOError):
        server.accept()
    assert set(mutant.points) <= set(parts.EVERY)
