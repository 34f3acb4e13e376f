"""Marking: full points for the solution, none for the handout; results.json; what it costs; the commands."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from course import parts
from course.autograder import results as results_module
from course.autograder.__main__ import main
from course.autograder.grade import all_tasks, choose_parts, grade, mark
from course.autograder.judging import Reference, Verdict, close, judge_gradient, judge_value
from course.autograder.results import Results, clean, refusal
from course.autograder.tasks import Check, Task, for_the_child
from course.autograder.unpack import read_submission
from course.handout import ROOT
from image_utils.errors import InputError
from tests.course.schema import RESULTS, check_results, problems


@pytest.mark.parametrize("seed", [0, 1, None])
def test_the_solution_gets_full_points(sandbox, skeleton, solution, tmp_path, seed):
    started = time.monotonic()
    results = grade(solution, sandbox, skeleton, parts=parts.EVERY, path=tmp_path / "results.json", seed=seed)
    assert results.score() == results.maximum() == 100, results.table()
    assert results.maximum("content") == results.maximum("update") == 10
    assert sum(results.maximum(part) for part in parts.STYLE_TRANSFER) == 50
    assert time.monotonic() - started < 180
    check_results(json.loads((tmp_path / "results.json").read_text()))


def test_the_untouched_handout_gets_nothing(sandbox, skeleton, handout, tmp_path):
    results = grade(handout, sandbox, skeleton, parts=parts.EVERY, path=tmp_path / "results.json", seed=0)
    assert results.score() == 0, results.table()
    assert sum("not written yet" in message for message in results.messages) > 25, results.table()
    check_results(json.loads((tmp_path / "results.json").read_text()))


def test_style_transfer_is_the_default(sandbox, skeleton, solution):
    results = grade(solution, sandbox, skeleton)
    assert results.score() == results.maximum() == 50
    assert {check.part for check in results.checks} == set(parts.STYLE_TRANSFER)


def test_memory_of_one_process_stays_below_the_limit(sandbox, skeleton, solution):
    peaks, run = [], sandbox.run

    def watched(*args, **kwargs):
        outcome = run(*args, **kwargs)
        peaks.append(outcome.peak)
        return outcome

    sandbox.run = watched
    try:
        grade(solution, sandbox, skeleton, parts=parts.EVERY, seed=0)
    finally:
        del sandbox.run
    assert 0 < max(peaks) < 500 * 2**20


def test_time_for_all_tasks_together_is_limited(sandbox, skeleton, solution, tmp_path):
    results = grade(solution, sandbox, skeleton, path=tmp_path / "results.json", total=0)
    assert results.score() == 0 and all("not marked: what came before took" in m for m in results.messages)
    check_results(json.loads((tmp_path / "results.json").read_text()))


def test_same_seed_same_inputs_and_every_run_another(skeleton):
    def inputs(seed):
        seen = []

        class Recorder:
            def run(self, call, given, code, wall=None):
                seen.append(given)
                raise InputError("enough")

        for task in all_tasks(skeleton, ("content",))[:1]:
            with pytest.raises(InputError):
                mark(task, Recorder(), None, None, seed=seed)
        return seen[0]["current@0"]

    assert np.array_equal(inputs(1), inputs(1)) and not np.array_equal(inputs(1), inputs(2))


def test_expected_values_stay_with_the_judge(skeleton):
    rng = np.random.default_rng(0)
    for task in all_tasks(skeleton, parts.EVERY):
        given = task.make(rng)
        assert not any("expected" in key or key.startswith("_") for key in for_the_child(given))
    with np.load(skeleton / "data" / "style_checks.npz") as checks:
        assert checks["gm_out"].shape == (1, 128, 128)  # published: every student has these four


def test_choosing_parts():
    assert choose_parts(["style-transfer"]) == parts.STYLE_TRANSFER
    assert choose_parts(["all"]) == parts.EVERY
    assert choose_parts(["tv", "saliency", "tv"]) == ("tv", "saliency")
    with pytest.raises(InputError, match="no part 'tvv'"):
        choose_parts(["tvv"])


CHECKS = [Check("tv", "first", 3, None), Check("tv", "second", 2, None)]


def test_results_are_whole_after_every_check(tmp_path):
    path = tmp_path / "results" / "results.json"
    results = Results(CHECKS, path)
    first = json.loads(path.read_text())
    check_results(first)
    assert [test["score"] for test in first["tests"]] == [0, 0]
    assert first["tests"][0]["output"] == results_module.NOT_REACHED
    results.put(CHECKS[0], 0.5, "half\x1b[31m\u202e")
    second = json.loads(path.read_text())
    check_results(second)
    assert second["score"] == 1.5 and second["tests"][0]["output"] == "half?[31m?"
    results.put(CHECKS[1], 7.0, "")
    assert json.loads(path.read_text())["tests"][1]["score"] == 2
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]
    assert "first" in results.table() and "3.5 / 5" in results.table()


def test_a_refusal_is_a_valid_result():
    assert not problems(refusal("why"), RESULTS)
    assert len(clean("x" * 10**6)) < 10**4


def test_the_schema_sees_mistakes():
    good = Results(CHECKS).as_dict()
    assert not problems(good, RESULTS)
    for change in (
        {"score": "1"},
        {"score": True},
        {"tests": {}},
        {"visibility": "shown"},
        {"unknown": 1},
        {"score": -1},
    ):
        assert problems({**good, **change}, RESULTS), change
    assert problems({key: value for key, value in good.items() if key != "tests"}, RESULTS)


def test_judging_values_names_the_formula_that_explains_all_cases():
    references = [
        Reference(10.0, [], {"half": (5.0, None), "one": (1.0, None)}),
        Reference(4.0, [], {"half": (2.0, None)}),
    ]
    assert judge_value(references, [np.asarray(10.0), np.asarray(4.00001)]).share == 1
    assert judge_value(references, [np.asarray(5.0), np.asarray(2.0)]) == Verdict(0.0, "half")
    assert "0.1 times" in judge_value(references, [np.asarray(1.0), np.asarray(2.0)]).message
    assert "not finite" in judge_value(references, [np.asarray(np.nan), np.asarray(4.0)]).message
    assert "nothing" in judge_value(references, [None, np.asarray(4.0)]).message
    assert "shape" in judge_value(references, [np.zeros((2, 2)), np.asarray(4.0)]).message


def test_judging_gradients():
    reference = [Reference(1.0, [np.array([1.0, 2.0])])]
    for gradient, value, says in (
        (None, 1.0, "right value, gradient zero: detached"),
        (np.zeros(2), 1.0, "right value, gradient zero: detached"),
        (None, 3.0, "first mend the value"),
        (np.array([2.0, 4.0]), 1.0, "2 times"),
        (np.array([2.0, 1.0]), 1.0, "is wrong"),
    ):
        assert says in judge_gradient(reference, [value], [[gradient]]).message
    assert judge_gradient(reference, [1.0], [[np.array([1.0, 2.0])]]).share == 1


def test_close_is_strict_about_shape_and_finiteness():
    assert close(np.ones(3), np.ones(3)) and close(np.ones(1), 1.0)
    assert not close(np.ones((1, 3)), np.ones(3)) and not close(None, 1.0)
    assert not close(np.full(3, np.inf), np.ones(3)) and not close(np.full(3, 1.01), np.ones(3))


def test_an_answer_of_another_form_is_wrong_and_nothing_more(skeleton):
    class Liar:
        def run(self, call, inputs, code, wall=None):
            from course.autograder.sandbox import Outcome

            return Outcome(
                {"value@0": {"a": []}, "gradient0@0": "x", "images": np.zeros(3), "loops": 5}, "", "", 0.0, 0
            )

    for task in all_tasks(skeleton, parts.EVERY):
        results = Results(task.checks)
        mark(task, Liar(), None, results, seed=0)
        assert results.score() == 0


def test_a_submission_that_cannot_be_read_says_so_in_the_results(sandbox, skeleton, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match="not a readable zip"):
        grade(tmp_path / "a.zip", sandbox, skeleton, path=tmp_path / "results.json")
    record = json.loads((tmp_path / "results.json").read_text())
    check_results(record)
    assert record["score"] == 0 and "not a readable zip" in record["output"]


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "course.autograder", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )


def test_the_grade_command_prints_a_table(solution, tmp_path):
    done = command("grade", solution, "--parts", "tv", "gram", "--results", tmp_path / "results.json")
    assert done.returncode == 0, done.stderr
    assert "Total variation: no loop" in done.stdout and "20 / 20" in done.stdout
    check_results(json.loads((tmp_path / "results.json").read_text()))
    assert set(read_submission(solution)[0])


@pytest.mark.parametrize(
    "arguments",
    [
        ["grade", "nowhere.zip"],
        ["grade", "x", "--parts", "nonsense"],
        ["grade", "x", "--seed", "-1"],
        ["build", "course"],
    ],
)
def test_unusable_arguments_are_refused(arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError) as problem:
        main(arguments)
    assert "\n" not in str(problem.value)


def test_tasks_can_be_narrowed():
    task = Task("x", lambda rng: {}, (Check("tv", "a", 1, None), Check("gram", "b", 1, None)))
    assert [check.name for check in task.only(("gram",)).checks] == ["b"]
