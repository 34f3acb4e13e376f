"""What the public checks share."""

from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import Inputs
from data import load_network
from data_utils import load_imagenet_val
from image_utils.pixels import to_input


@pytest.fixture(scope="session")
def network():
    return load_network()


@pytest.fixture(scope="session")
def images():
    """Two photographs, cut to 128 x 128, as the network takes them, and two classes: (2, 3, 128, 128), (2,)."""
    X = load_imagenet_val(2)[0][:, 48:176, 48:176]
    return to_input(X), torch.tensor([242, 254])


@pytest.fixture
def inputs(network, tmp_path, monkeypatch):
    """What the scripts' functions take: one photograph, 128 x 128. Figures go into a new visualization/."""
    monkeypatch.chdir(tmp_path)
    X, y, names = load_imagenet_val(1)
    cut = np.ascontiguousarray(X[0, 48:176, 48:176])
    return Inputs(network, [cut], y, names, torch.device("cpu"), Path("visualization"), 0)
