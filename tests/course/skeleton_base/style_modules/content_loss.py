"""The content loss, in the form of the course's skeleton, written plainly."""

import torch
import torch.nn as nn


class ContentLoss(nn.Module):
    def forward(self, content_weight, content_current, content_original):
        return content_weight * torch.sum((content_current - content_original) ** 2)
