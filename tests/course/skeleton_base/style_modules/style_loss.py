"""The style loss, in the form of the course's skeleton, written plainly."""

import torch
import torch.nn as nn


class StyleLoss(nn.Module):
    def gram_matrix(self, features, normalize=True):
        N, C, H, W = features.size()
        features = features.view(N, C, H * W)
        gram = torch.bmm(features, features.permute(0, 2, 1))
        if normalize:
            gram = gram / (C * H * W)
        return gram

    def forward(self, feats, style_layers, style_targets, style_weights):
        loss = 0
        for i in range(len(style_layers)):
            current = self.gram_matrix(feats[style_layers[i]])
            loss += style_weights[i] * torch.sum((current - style_targets[i]) ** 2)
        return loss
