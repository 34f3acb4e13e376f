"""Memory is asked for before work, and an estimate is near what the computation takes."""

import pytest
import torch

from image_utils.errors import InputError
from networks import memory
from networks.memory import bytes_for_a_gradient, check_memory, free_memory


def test_counts_what_the_graph_keeps():
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, 1), torch.nn.ReLU(), torch.nn.Conv2d(5, 2, 1), torch.nn.ReLU()
    )
    layers.requires_grad_(False)
    # Kept are the image and the two ReLUs' outputs, 4 bytes a number; their gradients take as much again.
    assert bytes_for_a_gradient(layers, torch.zeros(1, 3, 8, 6)) == 2 * 4 * (3 + 5 + 2) * 8 * 6


def test_grows_with_the_image(squeezenet):
    small, large = (bytes_for_a_gradient(squeezenet.features, torch.zeros(1, 3, n, n)) for n in (64, 128))
    assert 3.5 < large / small < 5


def test_refuses_what_does_not_fit_and_says_what_would(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 10e9)
    check_memory("--size 7", 8e9, lambda share: "never said")
    with pytest.raises(
        InputError, match=r"^--size 8 needs about 16\.0 GB of memory, and 10\.0 GB are free; 4 would fit$"
    ):
        check_memory("--size 8", 16e9, lambda share: f"{8 * share:.0f}")


@pytest.mark.parametrize(
    ("limit", "used", "expected"), [("1000", "400", 600), ("max", "400", 5000), (None, None, 5000)]
)
def test_a_containers_limit_counts(tmp_path, monkeypatch, limit, used, expected):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: type("Free", (), {"available": 5000}))
    if limit:
        (tmp_path / "memory.max").write_text(limit)
        (tmp_path / "memory.current").write_text(used)
    assert free_memory() == expected
