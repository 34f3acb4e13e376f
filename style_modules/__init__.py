"""One file a loss, and what the optimisation that joins them consists of."""

from style_modules.content_loss import ContentLoss
from style_modules.style_loss import StyleLoss
from style_modules.tv_loss import TotalVariationLoss

__all__ = ["ContentLoss", "StyleLoss", "TotalVariationLoss"]
