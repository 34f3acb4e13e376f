"""Root scripts written against the course's skeleton run on top of this repository unchanged.

They run in a fresh copy of the repository with the course's own files in their places: photographs, checks, the
images of style transfer, torchvision's weights in its cache. Where these are not at hand, the samples and the
embedded network take their places, and only what holds for any files is checked.
"""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import REFERENCE, ROOT
from tests.test_house import tracked

FIGURES = {
    "saliency_map": ["int_grads_captum.png", "saliency_captum.png", "saliency_map.png"],
    "gradcam": [
        "gradcam.png",
        "guided_backprop.png",
        "guided_backprop_captum.png",
        "guided_gradcam.png",
        "guided_gradcam_captum.png",
        "layer_activation_captum.png",
        "layer_conductance_captum.png",
        "layer_gradcam_captum.png",
    ],
    "fooling_image": ["fooling_image.png"],
    "class_visualization": ["class_visualization_iter_1.png", "class_visualization_iter_25.png"],
}
# Runs a script and then asks: is what it got from Captum what it would get in evaluation mode, whatever mode its
# network was in?
DRIVER = """
import runpy, sys
import torch, captum_utils

torch.manual_seed(0)
run, calls = captum_utils.compute_attributions, []

def observed(algo, inputs, **kwargs):
    model = getattr(algo, "model", None) or algo.forward_func
    was_training = model.training
    attribution = run(algo, inputs, **kwargs)
    assert model.training == was_training
    model.eval()
    assert torch.equal(attribution, algo.attribute(inputs, **kwargs)), algo
    model.train(was_training)
    calls.append((type(algo).__name__, was_training))
    return attribution

captum_utils.compute_attributions = observed
names = runpy.run_path(sys.argv[1], run_name="__main__")
for name, was_training in calls:
    print(name, "training" if was_training else "evaluation")
if "X_fooling" in names:
    print("fooled", names["model"].eval()(names["X_fooling"]).argmax().item())
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory, squeezenet):
    """A fresh copy of the repository with the course's files, or what stands in for them, in their places."""
    folder = tmp_path_factory.mktemp("clone")
    for file in tracked("."):
        part = file.relative_to(ROOT)
        if part.parts[0] not in ("docs", "benchmarks", "course", "explain") and part.parts[:2] != (
            "tests",
            "course",
        ):
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / part)
    weights = folder / "cache" / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    weights.parent.mkdir(parents=True)
    (folder / "visualization").mkdir(exist_ok=True)
    (folder / "styles_images").mkdir(exist_ok=True)
    if REFERENCE.is_dir():
        shutil.copyfile(REFERENCE / "squeezenet1_1_torchvision_fp16.pth", weights)
        for file in REFERENCE.glob("*.npz"):
            shutil.copyfile(file, folder / "data" / file.name)
        for file in REFERENCE.glob("*.jpg"):
            shutil.copyfile(file, folder / "styles_images" / file.name)
    else:
        torch.save(squeezenet.state_dict(), weights)
    return folder


def run(clone, *command):
    environment = os.environ | {"TORCH_HOME": str(clone / "cache"), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, *command], cwd=clone, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def run_script(clone, script):
    shutil.copyfile(ROOT / "tests" / "skeleton_scripts" / f"{script}.py", clone / f"{script}.py")
    return run(clone, "-c", DRIVER, f"{script}.py")


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        ("saliency_map", ["Saliency training", "IntegratedGradients training"]),
        (
            "gradcam",
            [
                "GuidedGradCam training",
                "GuidedBackprop training",
                "LayerActivation training",
                "LayerConductance training",
                "LayerGradCam training",
            ],
        ),
        ("fooling_image", ["fooled 6"]),
        ("class_visualization", ["crane bird (224, 224)"]),
    ],
)
def test_script(clone, script, printed):
    for old in (clone / "visualization").glob("*.png"):
        old.unlink()
    out = run_script(clone, script)
    assert [line for line in out if line != "The model is not fooled!"] == printed
    written = sorted(file.name for file in (clone / "visualization").glob("*.png"))
    assert written == FIGURES[script]
    for name in written:
        with Image.open(clone / "visualization" / name) as figure:
            assert np.asarray(figure.convert("L"), float).std() > 10


def test_style_transfer_with_the_courses_files(clone, reference):
    out = dict(line.split() for line in run_script(clone, "style_transfer"))
    assert out.keys() == {"Content", "Gram", "Style", "TV"}
    # The course's images decode and resize a little differently than when its checks were made.
    assert all(float(out[name]) < 5e-3 for name in ("Content", "Gram", "Style")) and float(out["TV"]) < 5e-4
    assert Image.open(clone / "styles_images" / "starry_tubingen.png").width >= 96
    assert (clone / "styles_images" / "starry_tubingen_before.png").is_file()
