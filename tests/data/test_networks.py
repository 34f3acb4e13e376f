"""Loading networks: the embedded one's published figures, files, and everything that does not fit."""

import os
import urllib.error
import warnings

import pytest
import torch
from safetensors.torch import save_file

import data.networks
from data import load_network
from data.convert_squeezenet import TORCHVISION_MEAN_SQUARES, mean_squares
from data.networks import build_network
from data.samples import load_sample_photographs
from image_utils.errors import InputError
from image_utils.pixels import to_input, to_normalised


@pytest.fixture(scope="module")
def samples():
    X, y, _ = load_sample_photographs()
    return to_input(X), torch.as_tensor(y)


def test_embedded_network_recognises_the_samples(squeezenet, samples):
    X, y = samples
    with torch.no_grad():
        top = squeezenet(X).topk(5).indices
    assert int((top[:, 0] == y).sum()) == 11
    assert int((top == y[:, None]).any(1).sum()) == 19


def test_embedded_activations_have_torchvisions_size(squeezenet, samples):
    for layer, value in mean_squares(squeezenet, samples[0]).items():
        assert value == pytest.approx(TORCHVISION_MEAN_SQUARES[layer], rel=0.01)


def test_torchvisions_own_activations_are_the_table(reference, samples):
    network = load_network(weights=reference / "squeezenet1_1_torchvision_fp16.pth")
    for layer, value in mean_squares(network, samples[0]).items():
        assert value == pytest.approx(TORCHVISION_MEAN_SQUARES[layer], rel=0.01)


def test_is_ready_to_be_looked_into(squeezenet):
    assert not any(module.training for module in squeezenet.modules())
    assert not any(parameter.requires_grad for parameter in squeezenet.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in squeezenet.parameters())


FORMS = {
    "half.pth": lambda state: {key: value.half() for key, value in state.items()},
    "plain.pt": lambda state: state,
    "checkpoint.pth": lambda state: {"state_dict": state, "epoch": 3},
    "another.pth": lambda state: {"model_state_dict": state},
    "parallel.pth": lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
}


@pytest.mark.parametrize("name", [*FORMS, "weights.safetensors"])
def test_loads_from_files(tmp_path, squeezenet, name):
    path, state = tmp_path / name, squeezenet.state_dict()
    if name in FORMS:
        torch.save(FORMS[name](state), path)
    else:
        save_file(state, path)
    loaded = load_network(weights=path).state_dict()
    for key, value in state.items():
        torch.testing.assert_close(loaded[key], value, rtol=1e-3, atol=1e-3)


class Hostile:
    def __reduce__(self):
        return (print, ("code from a weights file ran",))


def wrong_files(folder):
    """Files that are no weights of squeezenet1_1, and a word their message must contain."""
    state = build_network("squeezenet1_1").state_dict()
    torch.save({**state, "classifier.1.bias": torch.zeros(10)}, folder / "shape.pth")
    torch.save({k: v for k, v in state.items() if k != "features.3.squeeze.bias"}, folder / "lacks.pth")
    torch.save({**state, "head.weight": torch.zeros(1)}, folder / "surplus.pth")
    torch.save([1, 2], folder / "list.pth")
    torch.save({"a": Hostile()}, folder / "hostile.pth")
    torch.save(build_network("squeezenet1_1"), folder / "network.pth")
    with warnings.catch_warnings():  # TorchScript is deprecated, but files of it are about
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), folder / "scripted.pt")
    os.mkfifo(folder / "pipe.pth")
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "folder.pth").mkdir()
    (folder / "text.pth").write_text("not weights")
    (folder / "empty.pth").write_bytes(b"")
    (folder / "text.safetensors").write_text("not weights")
    (folder / "weights.bin").write_bytes(b"")
    return {
        "shape.pth": "classifier.1.bias has shape (10,), needed is (1000,)",
        "lacks.pth": "lacks features.3.squeeze.bias",
        "surplus.pth": "unknown head.weight",
        "list.pth": "not hold a state dict",
        "network.pth": "save the network's state_dict()",
        "scripted.pt": "save the network's state_dict()",
        "pipe.pth": "a pipe",
        "pipe.safetensors": "a pipe",
        "folder.pth": "a directory",
        "hostile.pth": "does not load safely",
        "text.pth": "does not load safely",
        "empty.pth": "does not load safely",
        "text.safetensors": "safetensors",
        "weights.bin": ".safetensors, .pth or .pt",
        "missing.pth": "does not exist",
        "missing.safetensors": "does not exist",
    }


def test_wrong_files_are_named_with_what_is_wrong(tmp_path, capsys):
    for name, word in wrong_files(tmp_path).items():
        with pytest.raises(InputError) as caught:
            load_network(weights=str(tmp_path / name))
        assert "\33" not in str(caught.value)  # colours of a terminal
        assert word in str(caught.value) and "\n" not in str(caught.value), name
    assert capsys.readouterr().out == ""


def test_unknown_names_list_near_ones():
    with pytest.raises(InputError, match="squeezenet1_1"):
        load_network("squeeznet11")
    with pytest.raises(InputError, match="only squeezenet1_1 is embedded"):
        load_network("resnet18")


def test_random_weights_are_the_same_and_leave_the_generator_alone():
    state = torch.get_rng_state()
    a, b = load_network("resnet18", "random"), load_network("resnet18", "random")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_torchvision_weights_come_from_its_cache(tmp_path, monkeypatch, squeezenet):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(squeezenet.state_dict(), tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth")
    loaded = load_network(weights="torchvision")
    assert torch.equal(loaded.features[0].weight, squeezenet.features[0].weight)


def test_offline_says_what_to_do(tmp_path, monkeypatch, capsys):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    with pytest.raises(InputError) as caught:
        load_network(weights="torchvision")
    message = str(caught.value)
    assert "squeezenet1_1-b8a52dc0.pth" in message and str(tmp_path) in message and "embedded" in message
    assert "\n" not in message
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_a_normalisation_of_their_own_apply_it(name):
    assert build_network(name).transform_input


@pytest.mark.parametrize("weights", ["torchvision", "weights.pth"])
def test_a_network_trained_on_other_pixels_is_refused(tmp_path, monkeypatch, weights):
    monkeypatch.setattr(data.networks, "build_network", lambda name, num_classes: torch.nn.Linear(2, 2))
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "weights.pth")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"efficientnet_v2_l was trained on pixels of mean"):
        load_network("efficientnet_v2_l", weights)
    load_network("efficientnet_v2_l", "random")


def test_a_checkpoint_of_ones_own_with_its_own_classes(tmp_path):
    torch.save(build_network("resnet18", 7).state_dict(), tmp_path / "mine.pth")
    loaded = load_network("resnet18", tmp_path / "mine.pth", num_classes=7)
    assert loaded(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    for weights, classes in (("torchvision", 7), ("embedded", 7), ("random", 1)):
        with pytest.raises(InputError, match="num_classes is 2 or more and goes with weights from a file"):
            load_network("resnet18", weights, num_classes=classes)


def test_a_network_gets_the_pixels_that_it_was_trained_on():
    mean, std = (0.5, 0.4, 0.3), (0.5, 0.25, 2.0)
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = load_network("resnet18", "random").double()
    own = load_network("resnet18", "random", mean=mean, std=std).double()
    as_trained = (pixels - torch.tensor(mean).double().view(3, 1, 1)) / torch.tensor(std).double().view(3, 1, 1)
    torch.testing.assert_close(own(to_normalised(pixels)), plain(as_trained), rtol=1e-5, atol=1e-5)
    only_mean = load_network("resnet18", "random", mean=mean).double()
    assert not torch.allclose(only_mean(to_normalised(pixels)), own(to_normalised(pixels)))
    load_network("efficientnet_v2_l", "random", mean=mean, std=std)


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5,), None), ((0, 0, float("nan")), None), (None, (1, 0, 1)), (None, (1, 1)), (0.5, None)]
)
def test_pixels_that_are_not_three_numbers(mean, std):
    with pytest.raises(InputError, match=r"(mean|std) must be"):
        load_network("squeezenet1_1", "random", mean=mean, std=std)
