"""What the tests of style transfer share: the losses, a small setting, and a call with it."""

import torch

from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import style_transfer
from stylize.settings import COURSE_SETTINGS

LOSSES = {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}
SMALL = {**COURSE_SETTINGS["starry_tubingen"], "image_size": 48, "style_size": 40}


def transfer(files, cnn, **changes):
    """Call `style_transfer` on a content and a style image, small, three steps, without files; or with changes."""
    arguments = {**SMALL, **LOSSES, "cnn": cnn, "dtype": torch.float32, "testing": True, "steps": 3, **changes}
    return style_transfer("name", *files, **arguments)
