"""What all tests share."""

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data import load_network
from data.samples import load_sample_photographs
from image_utils.pixels import to_input

ROOT = Path(__file__).resolve().parent.parent
# The course's own files and torchvision's weights, beside the checkout of whoever has them; never shipped.
REFERENCE = Path(os.environ.get("COURSE_REFERENCE", ROOT.parent / "shared" / "reference"))

if os.environ.get("PYTEST_XDIST_WORKER"):
    # One process a core is faster than two of two threads each, kernels of notebooks and scripts among them: their
    # threads wait for one another by spinning, and two such kernels on two cores took ten times as long.
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if os.environ.get("TESTS_WITHOUT_ONEDNN"):
    torch.backends.mkldnn.set_flags(False)  # tests/on_other_machines asks for it


@pytest.fixture(scope="session")
def squeezenet():
    """The embedded network. Shared: a test that changes it must change it back."""
    return load_network()


@pytest.fixture(scope="session")
def precise_squeezenet(squeezenet):
    """The same in float64. In float32 a ReLU's input near zero may fall on either side, alone and in a batch."""
    return copy.deepcopy(squeezenet).double()


@pytest.fixture(scope="session")
def cnn(squeezenet):
    """Its feature layers, which style transfer takes."""
    return squeezenet.features


@pytest.fixture(scope="session")
def photographs():
    """Five sample photographs as the network takes them, and their labels: (5, 3, 224, 224), (5,)."""
    X, y, _ = load_sample_photographs()
    return to_input(X[:5]), torch.as_tensor(y[:5])


@pytest.fixture(scope="session")
def reference():
    """The folder of the course's files; tests that need it are skipped where it is absent."""
    if not REFERENCE.is_dir():
        pytest.skip("the course's reference files are not here")
    return REFERENCE


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pair(tmp_path, rng):
    """A photograph and a painting for style transfer, as files: blurred noise, not square."""
    files = tmp_path / "cat.png", tmp_path / "waves.jpg"
    for file, (height, width) in zip(files, ((60, 84), (70, 55)), strict=True):
        noise = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        noise.resize((width, height), Image.BICUBIC).save(file)
    return files


@pytest.fixture
def two_threads():
    """Two threads for torch, whatever the machine has; then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
