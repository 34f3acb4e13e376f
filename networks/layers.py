"""Layers of a network: finding one by name, choosing one, and keeping its maps and their gradient."""

import contextlib
import difflib
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator

import torch
from torch import nn

from image_utils.errors import InputError
from networks.no_trace import uncompiled, untouched

EDGE = 8  # places by which maps may miss the image's proportions: layers without padding lose some on each side


def find_layer(model: nn.Module, layer: str | nn.Module) -> nn.Module:
    """Find a layer of a network.

    Args:
        model: nn.Module.
        layer: dotted name such as "features.12" (or "features[12]") or "layer4", or the module itself.

    Returns:
        nn.Module inside the model.

    Raises:
        InputError: no such layer; the message lists near names.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    del modules[""]
    if isinstance(layer, nn.Module):
        if not any(module is layer for module in modules.values()):
            raise InputError(f"the layer given, a {type(layer).__name__}, is not part of the network")
        return layer
    name = re.sub(r"\[(\w+)\]", r".\1", str(layer))
    if name not in modules:
        raise InputError(f"the network has no layer '{layer}'; did you mean {', '.join(_near(name, modules))}?")
    return modules[name]


def _near(name, modules):
    siblings = [known for known in modules if known.rpartition(".")[0] == name.rpartition(".")[0]]
    near = difflib.get_close_matches(name, modules, n=4)
    return (near or siblings[-4:] or [known for known in modules if "." not in known])[:6]


def default_layer(model: nn.Module, X: torch.Tensor) -> str:
    """Choose the layer for Grad-CAM: the last whose maps still show where things are.

    For SqueezeNet it is the course's features[12], the end of `features`. For other networks it is the last of
    `map_sizes`: the last block of a ResNet's layer4, `features` of VGG and DenseNet; of torchvision's ViT the
    first normalisation of the last block, of its Swin the end of `features`. Finding it may take a forward pass of
    one image.

    Args:
        model: network; left as it was.
        X: float Tensor (N, 3, H, W); only the first image is used.

    Returns:
        Dotted name.

    Raises:
        InputError: no layer returns maps.
    """
    last = dict(model.named_modules()).get("features.12")
    if type(last).__name__ == "Fire" and last is model.features[-1]:
        return "features.12"
    if type(model).__name__ == "SwinTransformer":
        return f"features.{len(model.features) - 1}"
    if type(model).__name__ == "VisionTransformer":  # behind this the scores hear of the class token alone
        return [name for name, _ in model.named_modules() if name.endswith("ln_1")][-1]
    return list(map_sizes(model, X))[-1]


def early_layer(model: nn.Module, X: torch.Tensor) -> str:
    """Choose a layer that still sees detail: the last of `map_sizes` at least a fifth as high as the image.

    Arguments, result and error are those of `default_layer`; where no maps are that high, it is the first layer.
    """
    sizes = map_sizes(model, X)
    fine = [name for name, (height, _) in sizes.items() if 5 * height >= X.shape[2]]
    return fine[-1] if fine else next(iter(sizes))


def map_sizes(model: nn.Module, X: torch.Tensor) -> dict[str, tuple[int, int]]:
    """List the layers that make maps, in the order in which they finish.

    These are the modules that hold a convolution, run once, and return maps (N, C, h, w) larger than 1 x 1 that
    are not yet class scores (C is not the number of classes), shaped like the image: channels last, as inside Swin
    transformers, they are not. Of nested modules with the same maps, the innermost.

    Args:
        model: network; left as it was.
        X: float Tensor (N, 3, H, W); only the first image is used.

    Returns:
        dict from dotted name to (h, w).

    Raises:
        InputError: there is none.
    """
    runs, found = Counter(), []

    def note(name, module, args, output):
        runs[name] += 1
        if isinstance(output, torch.Tensor) and output.ndim == 4 and max(output.shape[2:]) > 1:
            # The version tells a map from what an in-place ReLU makes of the same tensor afterwards.
            found.append((name, output, output._version))

    with untouched(model), torch.no_grad(), uncompiled(), contextlib.ExitStack() as hooks:
        for name, module in model.named_modules():
            if name and any(isinstance(part, nn.modules.conv._ConvNd) for part in module.modules()):
                hooks.callback(module.register_forward_hook(functools.partial(note, name)).remove)
        outputs = model(X[:1].detach().clone())
    classes = outputs.shape[1] if isinstance(outputs, torch.Tensor) and outputs.ndim == 2 else None
    sizes, last = {}, (None, None)
    for name, output, version in found:
        nested = output is last[0] and version == last[1]
        if runs[name] == 1 and output.shape[1] != classes and not nested and like_the_image(output, X):
            sizes[name] = tuple(output.shape[2:])
            last = output, version
    if not sizes:
        raise InputError("no layer of the network returns maps (N, C, h, w) larger than 1 x 1")
    return sizes


def like_the_image(maps: torch.Tensor, X: torch.Tensor) -> bool:
    """Whether the last two axes of maps can be those of images X, smaller in both by about the same factor."""
    (h, w), (H, W) = maps.shape[2:], X.shape[2:]
    return abs(h * W - w * H) <= EDGE * max(H, W)


def grid_of(X: torch.Tensor, reshape: Callable | None = None) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make the function that lays out what a layer returns for images X as maps (N, C, h, w).

    Maps stay as they are. Tokens (N, T, C), as inside vision transformers, become a grid of the image's
    proportions, without the class token that may stand before them; maps (N, h, w, C), as inside Swin
    transformers, get their channels first. What is none of these comes back unchanged.

    Args:
        X: Tensor (N, C, H, W); its shape is used.
        reshape: function that is applied first, for layers that return something else.

    Returns:
        Function from a Tensor to a Tensor.
    """
    height, width = X.shape[2:]

    def grid(output):
        output = reshape(output) if reshape else output
        if output.ndim == 4:
            last = output.movedim(-1, 1)
            exactly = [maps.shape[2] * width == maps.shape[3] * height for maps in (output, last)]
            about = [like_the_image(maps, X) for maps in (output, last)]
            return last if exactly == [False, True] or about == [False, True] else output
        for skipped in (0, 1) if output.ndim == 3 else ():
            tokens = output[:, skipped:].movedim(1, 2)
            rows = max(round((tokens.shape[2] * height / width) ** 0.5), 1)
            if tokens.shape[2] % rows == 0 and rows * width == tokens.shape[2] // rows * height:
                return tokens.unflatten(2, (rows, -1))
        return output

    return grid


@contextlib.contextmanager
def maps_kept(
    layer: nn.Module, keeper: object, *, cut: bool = True, reshape: Callable | None = None
) -> Iterator[None]:
    """Keep a layer's maps in `keeper.activation_value`, and their gradient, once computed, in `.gradient_value`.

    Args:
        layer: nn.Module that returns maps, Tensor (N, C, h, w), or what `reshape` turns into them.
        keeper: any object; both attributes are None at first, then Tensors (N, C, h, w). What the layer returned,
            before `reshape`, is in `.output`, to be differentiated by.
        cut: whether the graph starts at the layer, so that nothing below it is differentiated.
        reshape: function that lays out what the layer returns, and its gradient, as maps: `grid_of`(X).

    Raises:
        InputError: from the forward pass, if the layer returns no maps or runs twice; from the block, if the score
            that was differentiated does not depend on the layer.
    """
    keeper.activation_value = keeper.gradient_value = None

    def keep_gradient(gradient):
        keeper.gradient_value = gradient if reshape is None else reshape(gradient)

    def keep(module, args, output):
        grid = reshape(output) if reshape and isinstance(output, torch.Tensor) else output
        if not isinstance(grid, torch.Tensor) or grid.ndim != 4:
            what = f"shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else type(output).__name__
            raise InputError(f"the layer must return maps (N, C, h, w), not {what}")
        if keeper.activation_value is not None:
            raise InputError("the layer runs more than once in a forward pass; choose one that runs once")
        maps = (output.detach().requires_grad_() if cut else output).clone()
        if maps.requires_grad:
            handles.append(maps.register_hook(keep_gradient))
        keeper.output = maps
        keeper.activation_value = maps if reshape is None else reshape(maps)
        return maps.clone()  # an in-place ReLU may follow, and must not overwrite what is kept

    handles = [layer.register_forward_hook(keep)]
    try:
        with uncompiled():
            yield
    except RuntimeError as problem:
        if "does not require grad" not in str(problem):
            raise
        raise InputError(_unrelated(keeper)) from None
    finally:
        for handle in handles:  # that of the gradient too: keeper, maps and hook would keep one another for ever
            handle.remove()


def _unrelated(keeper):
    if keeper.activation_value is None:
        return "the layer did not run in the forward pass; choose another"
    return "the score does not depend on the layer; choose another layer or target"
