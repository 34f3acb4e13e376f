"""The handout's boxes are exactly the sheet's, and plain bodies pasted into them are all that it needs."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from course.collect.checks import read_record, static_findings
from course.collect.outline import source_files
from course.markers import fill
from course.parts import EVERY
from course.writeup.notebook import CHECKS, errors_printed, execute
from tests.course.plain_bodies import PLAIN

BOX = "is yours to write"


@pytest.fixture(scope="module")
def written(handout, tmp_path_factory):
    """The handout with a plain body in each box, checked and zipped by the collector: (folder, its answer)."""
    folder = tmp_path_factory.mktemp("plain") / "handout"
    shutil.copytree(handout, folder)
    for file in {file for file, _ in PLAIN}:
        bodies = {function: body for (where, function), body in PLAIN.items() if where == file}
        (folder / file).write_text(fill((folder / file).read_text(), bodies))
    command = [sys.executable, "collect_submission.py"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return folder, subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_boxes_are_where_the_sheet_says_and_nowhere_else(handout):
    boxes = sorted(
        (path.relative_to(handout).as_posix(), line.split('"')[1].split()[0])
        for path in handout.rglob("*.py")
        for line in path.read_text().splitlines()
        if line.strip().startswith("raise NotImplementedError(") and BOX in line
    )
    assert boxes == sorted(
        [
            ("visualizers/saliency_map.py", "SaliencyMap.compute_saliency_maps"),
            ("visualizers/gradcam.py", "CustomReLU.backward"),
            ("visualizers/gradcam.py", "GradCam.guided_backprop"),
            ("visualizers/gradcam.py", "GradCam.grad_cam"),
            ("visualizers/fooling_image.py", "FoolingImage.make_fooling_image"),
            ("visualizers/class_visualization.py", "ClassVisualization.create_class_visualization"),
            ("style_modules/content_loss.py", "ContentLoss.forward"),
            ("style_modules/style_loss.py", "StyleLoss.gram_matrix"),
            ("style_modules/style_loss.py", "StyleLoss.forward"),
            ("style_modules/tv_loss.py", "TotalVariationLoss.forward"),
            ("style_utils.py", "style_transfer"),
            ("saliency_map.py", "captum_saliency"),  # Captum's statements, in the function where they stand
            ("gradcam.py", "guided_grad_cam"),  # the pointwise product
            ("gradcam.py", "captum_guided"),
            ("gradcam.py", "captum_layers"),
        ]
    )
    assert boxes == sorted(PLAIN)


def test_no_marker_is_left(handout):
    texts = {path: path.read_text() for path in handout.rglob("*") if path.suffix in {".py", ".ipynb", ".md"}}
    assert not [path for path, text in texts.items() if ">>> Solution" in text or "<<< Solution" in text]


def test_every_public_check_passes_and_the_collector_zips(written):
    folder, answer = written
    assert (answer.returncode, answer.stdout) == (0, ""), answer.stderr
    with zipfile.ZipFile(folder / "assignment_3_submission.zip") as archive:
        assert archive.namelist() == source_files(folder)


def test_the_notebook_runs_to_its_end_with_four_right_errors(written):
    text = (written[0] / "test_style_transfer.ipynb").read_text()
    for side in ("192", "512"):  # of the picture at its end, which is looked at elsewhere
        assert text.count(f'_size\\": {side}') == 1
        text = text.replace(f'_size\\": {side}', '_size\\": 64')
    (written[0] / "small.ipynb").write_text(text)
    notebook = execute(written[0] / "small.ipynb")
    assert "stopped" not in notebook.metadata, notebook.metadata["stopped"]
    assert errors_printed(notebook) == dict.fromkeys(CHECKS, "0.000")


def test_full_points(written, marked):
    results = marked(written[0] / "assignment_3_submission.zip", EVERY)
    assert results.score() == results.maximum() == 100, results.table()


def test_the_collector_takes_comments_and_helpers_and_refuses_other_imports(written, tmp_path):
    folder = tmp_path / "handout"
    for file in source_files(written[0]):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(written[0] / file, folder / file)
    record, loss = read_record(written[0]), folder / "style_modules" / "content_loss.py"
    text = loss.read_text()
    helped = text.replace(
        "torch.sum((content_current - content_original) ** 2)", "squares(content_current, content_original)"
    )
    helped += "\n\ndef squares(a, b):\n    # mine\n    return torch.sum((a - b) ** 2)\n"
    loss.write_text(helped)
    assert helped != text and static_findings(folder, record) == []
    loss.write_text(text.replace("\nimport torch\n", "\nimport numpy as np\nimport torch\n", 1))
    (finding,) = static_findings(folder, record)
    line = loss.read_text().splitlines().index("import numpy as np") + 1
    assert (finding.file, finding.line) == ("style_modules/content_loss.py", line), finding
