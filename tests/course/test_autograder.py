"""Marking: full points for the solution, none for the handout; results.json; what it costs; the commands."""

import inspect
import json
import os
import shutil
from argparse import Namespace

import numpy as np
import pytest
from PIL import Image

from course import parts
from course.autograder import confine, references, scripts, update
from course.autograder import results as results_module
from course.autograder.__main__ import main, mark_one
from course.autograder.grade import all_tasks, choose_parts, grade, mark
from course.autograder.judging import Check, Verdict, close, derivative, judge_gradients, judge_values, near
from course.autograder.results import Results, clean, record
from course.autograder.sandbox import Outcome
from course.handout import ROOT
from image_utils.errors import InputError
from tests.course.schema import RESULTS, check_results, problems


def test_the_solution_gets_full_points_on_new_inputs_in_little_memory(sandbox, skeleton, solution, tmp_path):
    peaks, run = [], sandbox.run

    def watched(*args, **kwargs):
        outcome = run(*args, **kwargs)
        peaks.append(outcome.peak)
        return outcome

    sandbox.run = watched
    try:
        results = grade(solution, sandbox, skeleton, parts=parts.EVERY, path=tmp_path / "results.json")
    finally:
        del sandbox.run
    assert results.score() == results.maximum() == 100, results.table()
    assert results.maximum("content") == results.maximum("update") == 10
    assert sum(results.maximum(part) for part in parts.STYLE_TRANSFER) == 50
    check_results(json.loads((tmp_path / "results.json").read_text()))
    # Beyond what the packages take, which is twice as much where PyTorch was built for CUDA.
    assert 0 < max(peaks) - min(peaks) < 300 * 2**20


def test_the_untouched_handout_gets_nothing(sandbox, skeleton, handout, tmp_path):
    results = grade(handout, sandbox, skeleton, parts=parts.EVERY, path=tmp_path / "results.json", seed=1)
    assert results.score() == 0, results.table()
    assert results.table().count("not written yet") > 25, results.table()
    check_results(json.loads((tmp_path / "results.json").read_text()))


def test_style_transfer_is_the_default():
    parts_marked = {check.part for task in all_tasks(choose_parts(["style-transfer"])) for check in task.checks}
    assert parts_marked == set(parts.STYLE_TRANSFER)
    assert inspect.signature(grade).parameters["parts"].default == parts.STYLE_TRANSFER


def test_time_for_all_tasks_together_is_limited(sandbox, skeleton, solution, tmp_path):
    results = grade(solution, sandbox, skeleton, path=tmp_path / "results.json", total=0)
    assert results.score() == 0
    assert all(verdict.message.startswith("not marked: what came before") for verdict in results.verdicts.values())
    check_results(json.loads((tmp_path / "results.json").read_text()))


def test_same_seed_same_inputs_and_every_run_another():
    def inputs(seed):
        seen = []

        class Recorder:
            def run(self, call, given, code, left):
                seen.append(given)
                raise InputError("enough")

        for task in all_tasks(("content",))[:1]:
            with pytest.raises(InputError):
                mark(task, Recorder(), None, None, seed=seed)
        return seen[0]["cases"][0]["current"]

    assert np.array_equal(inputs(1), inputs(1)) and not np.array_equal(inputs(1), inputs(2))


def test_the_numbers_that_every_student_has(skeleton):
    with np.load(skeleton / "data" / "style_checks.npz") as checks:
        assert checks["gm_out"].shape == (1, 128, 128)  # published: every student has these four


def test_the_numbers_are_those_of_the_pictures_that_are_shipped(sandbox, skeleton, solution, tmp_path):
    other = tmp_path / "skeleton"
    shutil.copytree(skeleton, other)
    for picture in (other / "styles_images").glob(
        "*.jpg"
    ):  # somebody put the course's own, or any, in their place
        Image.new("RGB", (200, 200), (9 * len(picture.name), 90, 90)).save(picture)
    results = grade(solution, sandbox, other, parts=("content",), path=tmp_path / "results.json")
    assert results.score() == results.maximum() == 10, results.table()


def test_steps_to_a_class_are_counted_and_no_more_than_asked_for(rng):
    x = rng.standard_normal((3, 64, 64)).astype(np.float32)
    seen = int(references.scores(x[None]).argmax())
    assert references.fooling_steps(x, seen, 3) == 0
    assert references.fooling_steps(x, (seen + 1) % 1000, 1) == 1


def test_the_last_image_counts_as_what_the_last_step_made():
    images = np.arange(update.STEPS, dtype=np.float32)[:, None, None, None, None] * np.ones(
        (1, 3, update.SIZE, update.SIZE), np.float32
    )
    for result, length in ((images[0] + 7, update.STEPS + 1), (images[0, 0], update.STEPS), (None, update.STEPS)):
        trace, why = update._trace({"images": images, "result": result, "stopped": None})
        assert (len(trace), why) == (length, "")
        assert trace[-1].max() == (7 if length > update.STEPS else update.STEPS - 1)
    assert "asked for 9 times" in update._trace({"images": images[:9], "result": images[0], "stopped": None})[1]


def test_landlock_is_asked_for_what_its_version_knows(monkeypatch):
    """The kernel refuses a right that it does not know: 13 for files, REFER from 2 on, TRUNCATE from 3."""
    asked = []

    class Kernel:
        def syscall(self, number, *arguments):
            if number == confine.LANDLOCK_CREATE:
                asked.append(list(arguments[0]))
            return os.open(os.devnull, os.O_RDONLY) if number == confine.LANDLOCK_CREATE else 0

    monkeypatch.setattr(confine, "libc", Kernel())
    for version in range(1, 8):
        confine._landlock(version, [], [])
    files, network = [2**13 - 1, 2**14 - 1, 2**15 - 1], [2**15 - 1, 3]
    assert asked == [*([rights] for rights in files), network, network, [*network, 3], [*network, 3]]


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
    results.put(Verdict(0.5, "half\x1b[31m\u202e"), CHECKS[0])
    second = json.loads(path.read_text())
    check_results(second)
    assert second["score"] == 1.5 and second["tests"][0]["output"] == "half?[31m?"
    assert not results.passed("first") and results.passed("another")
    results.put(Verdict(7.0), *CHECKS[1:])
    assert json.loads(path.read_text())["tests"][1]["score"] == 2
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]
    assert "first" in results.table() and "3.5 / 5" in results.table()


def test_a_refusal_is_a_valid_result():
    assert not problems(record("why"), RESULTS)
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
    expected, wrong = [10.0, 4.0], [{"half": [5.0], "one": [1.0]}, {"half": [2.0]}]

    def judge(*found):
        return judge_values(expected, wrong.__getitem__, list(found))

    assert judge(np.asarray(10.0), np.asarray(4.00001)).share == 1
    assert judge(np.asarray(5.0), np.asarray(2.0)) == Verdict(0.0, "half")
    assert "0.1 times" in judge(np.asarray(1.0), np.asarray(2.0)).message
    assert "not finite" in judge(np.asarray(np.nan), np.asarray(4.0)).message
    assert "shape" in judge(np.zeros((2, 2)), np.asarray(4.0)).message


def test_judging_gradients():
    expected = [np.array([1.0, 2.0])]
    for gradient, value_is_right, says in (
        (None, True, "right value, gradient zero: detached"),
        (np.zeros(2), True, "right value, gradient zero: detached"),
        (None, False, "first mend the value"),
        (np.array([2.0, 4.0]), True, "2 times"),
        (np.array([2.0, 1.0]), True, "is wrong"),
    ):
        assert says in judge_gradients(expected, [gradient], value_is_right).message
    assert judge_gradients(expected, [np.array([1.0, 2.0])], True).share == 1
    assert judge_gradients([np.zeros(2)], [None], True).share == 1


def test_the_derivative_is_that_of_the_definition(rng):
    x = rng.standard_normal((2, 3))
    assert np.allclose(derivative(lambda a: (a**4).sum(), x), 4 * x**3, rtol=1e-6, atol=1e-6)


def test_close_is_strict_about_shape_and_finiteness_and_relative():
    assert close(np.ones(3), np.ones(3)) and close(np.ones(1), 1.0)
    assert not close(np.ones((1, 3)), np.ones(3)) and not close(None, 1.0)
    assert not close(np.full(3, np.inf), np.ones(3)) and not close(np.full(3, 1.01), np.ones(3))
    for scale in (1e-6, 1.0, 1e6):
        assert close(np.full(3, 1.0009 * scale), np.full(3, scale))
        assert not close(np.full(3, 1.0011 * scale), np.full(3, scale))


def test_near_allows_what_rounding_does_to_a_map_and_no_other_size(rng):
    right = rng.standard_normal((2, 30, 30))
    noise = rng.standard_normal(right.shape)
    for scale in (1e-6, 1.0, 1e6):
        assert near(scale * (right + 0.015 * noise), scale * right)
        assert not near(scale * (right + 0.03 * noise), scale * right)
        assert not near(scale * 1.019 * right, scale * right) and not near(scale * 0.99 * right, scale * right)
    assert not near(None, right) and not near(right[0], right) and not near(right * np.nan, right)


def test_an_answer_of_another_form_is_wrong_and_nothing_more(skeleton):
    answers = {"cases": [{"value": {"a": []}, "gradients": "x"}], "images": np.zeros(3), "loops": 5, "events": [1]}

    class Liar:
        def run(self, call, inputs, code, left):
            return Outcome(answers)

    for task in all_tasks(parts.EVERY):
        results = Results(task.checks)
        mark(task, Liar(), skeleton, results, seed=1)
        assert results.score() == 0


def test_a_submission_that_cannot_be_read_says_so_in_the_results(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    arguments = Namespace(submission=tmp_path / "a.zip", results=tmp_path / "results.json")
    with pytest.raises(InputError, match="not a readable zip"):
        mark_one(arguments)
    record = json.loads((tmp_path / "results.json").read_text())
    check_results(record)
    assert record["score"] == 0 and "not a readable zip" in record["output"]


def test_the_grade_command_prints_a_table(solution, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("signal.signal", lambda *_: None)  # Ctrl-C stays pytest's
    main(["grade", str(solution), "--parts", "tv", "--results", str(tmp_path / "results.json")])
    shown = capfd.readouterr().out
    assert "Total variation: no loop" in shown and "10 / 10" in shown
    check_results(json.loads((tmp_path / "results.json").read_text()))


@pytest.mark.parametrize(
    "arguments",
    [
        ["grade", "nowhere.zip"],
        ["grade", "x", "--parts", "nonsense"],
        ["grade", "collect_submission.py", "--csv", "marks.csv"],
        ["grade", "styles_images", "--csv", "marks.csv"],
        ["build", "course"],
    ],
)
def test_unusable_arguments_are_refused(arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError) as problem:
        main(arguments)
    assert "\n" not in str(problem.value)


def test_of_a_task_only_what_is_asked_for_is_marked():
    names = [check.name for task in all_tasks(("guided",)) for check in task.checks]
    assert names == ["CustomReLU", "Guided backprop"]


@pytest.mark.parametrize("seed", range(20))
def test_a_product_counts_in_any_contrast_and_in_no_other_order(seed):
    inputs = scripts._inputs("gradcam.py", np.random.default_rng(seed))
    product = inputs["details"] * inputs["cam"][..., None]
    low, high = np.percentile(product, (1, 99))
    contrasts = (np.cbrt(product), np.uint8(np.clip((product - low) / (high - low), 0, 1) * 255))
    for drawn, share in ((contrasts[0], 1), (contrasts[1], 1), (product[::-1, ::-1], 0), (np.abs(product), 0)):
        pictures = list(drawn[:, ::8, ::8].astype(np.float32))
        assert scripts._product(inputs, {"events": [{"pictures": pictures}], "stopped": None}).share == share
