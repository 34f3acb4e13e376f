"""Style losses from their definitions, entry by entry, and the course's optimisation loop written out plainly."""

import numpy as np
import torch


def content_loss(weight, current, original):
    total = 0.0
    for index in np.ndindex(*current.shape):
        total += (current[index] - original[index]) ** 2
    return weight * total


def gram_matrix(features, normalize=True):
    n, channels, height, width = features.shape
    gram = np.zeros((n, channels, channels))
    for image, i, j in np.ndindex(n, channels, channels):
        for y, x in np.ndindex(height, width):
            gram[image, i, j] += features[image, i, y, x] * features[image, j, y, x]
    return gram / (channels * height * width) if normalize else gram


def style_loss(feats, layers, targets, weights):
    total = 0.0
    for k, layer in enumerate(layers):
        gram = gram_matrix(feats[layer])
        for index in np.ndindex(*gram.shape):
            total += weights[k] * (gram[index] - targets[k][index]) ** 2
    return total


def total_variation(img, weight):
    n, channels, height, width = img.shape
    total = 0.0
    for image, c, y, x in np.ndindex(n, channels, height, width):
        if x + 1 < width:
            total += (img[image, c, y, x + 1] - img[image, c, y, x]) ** 2
        if y + 1 < height:
            total += (img[image, c, y + 1, x] - img[image, c, y, x]) ** 2
    return weight * total


def course_loop(cnn, start, content, style, settings, *, steps, decay_at=180, clamp_until=190, compounding=False):
    """The course's loop: every layer of the network, targets by hand, no shortcut. Returns image and loss curve.

    compounding: the classic mistake of lowering the rate again at every step from `decay_at` on.
    """

    def all_features(x):
        feats = []
        for layer in cnn:
            x = layer(x.clone())
            feats.append(x)
        return feats

    def gram(f):
        _, channels, height, width = f.shape
        return torch.einsum("nihw,njhw->nij", f, f) / (channels * height * width)

    with torch.no_grad():
        content_target = all_features(content)[settings["content_layer"]]
        style_feats = all_features(style)
        style_targets = [gram(style_feats[layer]) for layer in settings["style_layers"]]
    img = start.clone().requires_grad_(True)
    optimizer, rate, curve = torch.optim.Adam([img], lr=3.0), 3.0, []
    for t in range(steps):
        if t < clamp_until:
            img.data.clamp_(-1.5, 1.5)
        optimizer.zero_grad()
        feats = all_features(img)
        loss = settings["content_weight"] * ((feats[settings["content_layer"]] - content_target) ** 2).sum()
        for k, layer in enumerate(settings["style_layers"]):
            loss = loss + settings["style_weights"][k] * ((gram(feats[layer]) - style_targets[k]) ** 2).sum()
        loss = loss + settings["tv_weight"] * (
            ((img[:, :, :, 1:] - img[:, :, :, :-1]) ** 2).sum() + ((img[:, :, 1:] - img[:, :, :-1]) ** 2).sum()
        )
        curve.append(loss.item())
        loss.backward()
        if t == decay_at or (compounding and t > decay_at):
            rate = 0.1 if t == decay_at else rate * 0.1
            optimizer = torch.optim.Adam([img], lr=rate)
        optimizer.step()
    if steps < clamp_until:  # what the next step would begin with
        img.data.clamp_(-1.5, 1.5)
    return img.detach(), curve
