"""Style transfer, in the form that the course's skeleton gives a student's root script."""

import matplotlib.pyplot as plt
import numpy as np
import torch
import torchvision
from image_utils import *
from style_utils import *

from style_modules import ContentLoss, StyleLoss, TotalVariationLoss

plt.rcParams["figure.figsize"] = (10.0, 8.0)

dtype = torch.FloatTensor
cnn = torchvision.models.squeezenet1_1(pretrained=True).features
cnn.type(dtype)
for param in cnn.parameters():
    param.requires_grad = False

content_loss, style_loss, tv_loss = ContentLoss(), StyleLoss(), TotalVariationLoss()
answers = np.load("data/style-transfer-checks.npz")
CONTENT_IMAGE, STYLE_IMAGE = "styles_images/tubingen.jpg", "styles_images/starry_night.jpg"
c_feats, c_img = features_from_img(CONTENT_IMAGE, 192, cnn, dtype)
s_feats, _ = features_from_img(STYLE_IMAGE, 192, cnn, dtype)
bad_img = torch.zeros(c_img.size()).type(dtype)
feats = extract_features(bad_img, cnn)

output = content_loss(6e-2, c_feats[3], feats[3]).cpu().data.numpy()
print(f"Content {rel_error(answers['cl_out'], output):.6f}")
output = style_loss.gram_matrix(s_feats[5].clone()).cpu().data.numpy()
print(f"Gram {rel_error(answers['gm_out'], output):.6f}")
style_layers, style_weights = [1, 4, 6, 7], [300000, 1000, 15, 3]
style_targets = [style_loss.gram_matrix(s_feats[idx].clone()) for idx in style_layers]
output = style_loss(c_feats, style_layers, style_targets, style_weights).cpu().data.numpy()
print(f"Style {rel_error(answers['sl_out'], output):.6f}")
output = tv_loss(c_img, 2e-2).cpu().data.numpy()
print(f"TV {rel_error(answers['tv_out'], output):.6f}")

params = {
    "name": "starry_tubingen",
    "content_image": CONTENT_IMAGE,
    "style_image": STYLE_IMAGE,
    "image_size": 96,  # the skeleton paints at 192
    "style_size": 96,
    "content_layer": 3,
    "content_weight": 6e-2,
    "style_layers": style_layers,
    "style_weights": style_weights,
    "tv_weight": 2e-2,
    "content_loss": content_loss,
    "style_loss": style_loss,
    "tv_loss": tv_loss,
    "cnn": cnn,
    "dtype": dtype,
}
style_transfer(**params)
