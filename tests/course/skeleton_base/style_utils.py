"""The helpers of style transfer, in the form of a skeleton without `testing`, written plainly."""

import matplotlib.pyplot as plt
import numpy as np
import torch
import torchvision.transforms as T
from PIL import Image

from image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD


def preprocess(img, size=512):
    transform = T.Compose(
        [
            T.Resize(size),
            T.ToTensor(),
            T.Normalize(mean=SQUEEZENET_MEAN.tolist(), std=SQUEEZENET_STD.tolist()),
            T.Lambda(lambda x: x[None]),
        ]
    )
    return transform(img)


def deprocess(img):
    transform = T.Compose(
        [
            T.Lambda(lambda x: x[0]),
            T.Normalize(mean=[0, 0, 0], std=[1.0 / s for s in SQUEEZENET_STD.tolist()]),
            T.Normalize(mean=[-m for m in SQUEEZENET_MEAN.tolist()], std=[1, 1, 1]),
            T.Lambda(rescale),
            T.ToPILImage(),
        ]
    )
    return transform(img)


def rescale(x):
    low, high = x.min(), x.max()
    return (x - low) / (high - low)


def rel_error(x, y):
    return np.max(np.abs(x - y) / (np.maximum(1e-8, np.abs(x) + np.abs(y))))


def features_from_img(imgpath, imgsize, cnn, dtype):
    img = preprocess(Image.open(imgpath), size=imgsize)
    img_var = img.type(dtype)
    return extract_features(img_var, cnn), img_var


def extract_features(x, cnn):
    features = []
    prev_feat = x
    for module in cnn._modules.values():
        next_feat = module(prev_feat)
        features.append(next_feat)
        prev_feat = next_feat
    return features


def style_transfer(
    name,
    content_image,
    style_image,
    image_size,
    style_size,
    content_layer,
    content_weight,
    style_layers,
    style_weights,
    tv_weight,
    content_loss,
    style_loss,
    tv_loss,
    cnn,
    dtype,
    init_random=False,
):
    content_img = preprocess(Image.open(content_image), size=image_size).type(dtype)
    feats = extract_features(content_img, cnn)
    content_target = feats[content_layer].clone()
    style_img = preprocess(Image.open(style_image), size=style_size).type(dtype)
    feats = extract_features(style_img, cnn)
    style_targets = []
    for idx in style_layers:
        style_targets.append(style_loss.gram_matrix(feats[idx].clone()))
    if init_random:
        img = torch.Tensor(content_img.size()).uniform_(0, 1).type(dtype)
    else:
        img = content_img.clone().type(dtype)
    img.requires_grad_()
    initial_lr = 3.0
    decayed_lr = 0.1
    decay_lr_at = 180
    optimizer = torch.optim.Adam([img], lr=initial_lr)
    _, axarr = plt.subplots(1, 2)
    axarr[0].imshow(deprocess(content_img.cpu()))
    axarr[1].imshow(deprocess(style_img.cpu()))
    plt.savefig("styles_images/" + name + "_before.png")
    for t in range(200):
        if t < 190:
            img.data.clamp_(-1.5, 1.5)
        feats = extract_features(img, cnn)
        # begin
        optimizer.zero_grad()
        loss = content_loss(content_weight, feats[content_layer], content_target)
        loss += style_loss(feats, style_layers, style_targets, style_weights)
        loss += tv_loss(img, tv_weight)
        loss.backward()
        if t == decay_lr_at:
            optimizer = torch.optim.Adam([img], lr=decayed_lr)
        optimizer.step()
        # end
    plt.imshow(deprocess(img.data.cpu()))
    plt.savefig("styles_images/" + name + ".png")
