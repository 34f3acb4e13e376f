"""What a network makes of an image, layer by layer."""

import operator
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from image_utils.errors import InputError
from networks.copies import out_of_place
from networks.no_trace import untouched
from networks.precision import arithmetic


def extract_features(
    x: torch.Tensor, cnn: nn.Sequential, *, up_to: int | None = None, precision: str = "float32"
) -> Sequence[torch.Tensor]:
    """Compute the output of every layer, in order.

    Evaluation mode, weights frozen: gradients flow to x alone. Each output keeps its own values, also where the
    next layer is an in-place ReLU.

    Args:
        x: float Tensor (N, 3, H, W), normalised.
        cnn: nn.Sequential; left as it was.
        up_to: index of the deepest layer that is needed; those beyond are computed when they are looked at. None
            computes all at once.
        precision: of the layers, see `networks.precision`; their outputs have the type of x whichever it is.

    Returns:
        Tensors (N, C_i, H_i, W_i), one a layer, differentiable in x: a list, or with `up_to` a `Features`.

    Raises:
        InputError: cnn is not an nn.Sequential, or the image is too small for it.
    """
    check_sequential(cnn)
    features = Features(x, cnn, len(cnn) - 1 if up_to is None else up_to, precision)
    return list(features) if up_to is None else features


class Features(Sequence):
    """The outputs of all layers of a network: those up to a depth, and the others once they are looked at."""

    def __init__(self, x: torch.Tensor, cnn: nn.Sequential, up_to: int, precision: str):
        """Compute the layers up to `up_to`; see `extract_features`."""
        self._cnn, self._precision, self._dtype = list(cnn), precision, x.dtype
        self._with_gradient = torch.is_grad_enabled()
        self._shape, self._last, self._found = x.shape, x, []
        self._grow(up_to)

    def __len__(self) -> int:
        """Count the layers of the network."""
        return len(self._cnn)

    def __getitem__(self, index):
        """Return the output of a layer, computing it first if need be; a slice gives a list."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no layer {index}: the network has {len(self)}, counted from 0")
        self._grow(index % len(self))
        return self._found[index % len(self)]

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Go through the outputs of all layers."""
        return (self[i] for i in range(len(self)))

    def _grow(self, index):
        """Compute on from the last layer computed to layer `index`."""
        layers = self._cnn[len(self._found) : index + 1]
        if not layers:
            return
        network = nn.Sequential(*layers)
        try:
            with (
                untouched(network),
                torch.set_grad_enabled(self._with_gradient),
                out_of_place(network),
                arithmetic(self._precision, self._last) as x,
            ):
                for layer in layers:
                    x = self._last = layer(x)
                    self._found.append(x.to(self._dtype))
        except RuntimeError as problem:
            height, width = self._shape[2:]
            reason = str(problem).splitlines()[0]
            raise InputError(f"the network cannot take an image of {width} x {height} pixels: {reason}") from None


def check_sequential(cnn: nn.Module) -> None:
    """Raise InputError unless the network is an nn.Sequential of layers."""
    if not isinstance(cnn, nn.Sequential):
        raise InputError(
            f"the network must be an nn.Sequential of layers, such as load_network().features, "
            f"not {type(cnn).__name__}"
        )
