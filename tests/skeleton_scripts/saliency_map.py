"""Saliency maps, in the form that the course's skeleton gives a student's root script."""

import matplotlib.pyplot as plt
import torch
import torchvision
from captum.attr import IntegratedGradients, Saliency
from captum_utils import *
from data_utils import *
from image_utils import *
from PIL import Image

from visualizers import SaliencyMap

plt.rcParams["figure.figsize"] = (10.0, 8.0)
plt.rcParams["image.interpolation"] = "nearest"
plt.rcParams["image.cmap"] = "gray"

model = torchvision.models.squeezenet1_1(pretrained=True)
for param in model.parameters():
    param.requires_grad = False

X, y, class_names = load_imagenet_val(num=5)
sm = SaliencyMap()
sm.show_saliency_maps(X, y, class_names, model)

X_tensor = torch.cat([preprocess(Image.fromarray(x)) for x in X], dim=0).requires_grad_(True)
y_tensor = torch.LongTensor(y)

saliency = Saliency(model)
attr_saliency = compute_attributions(saliency, X_tensor, target=y_tensor)
visualize_attr_maps(
    "visualization/saliency_captum.png",
    X,
    y,
    class_names,
    [attr_saliency],
    ["Saliency"],
    lambda attr: attr.detach().abs().max(0)[0].numpy(),
)

int_grads = IntegratedGradients(model)
attr_ig = compute_attributions(int_grads, X_tensor, target=y_tensor, n_steps=4)
visualize_attr_maps(
    "visualization/int_grads_captum.png", X, y, class_names, [attr_ig, attr_saliency], ["IG", "Saliency"]
)
