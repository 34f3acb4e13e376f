"""Guided backprop and Grad-CAM, in the form that the course's skeleton gives a student's root script."""

import matplotlib
import matplotlib.pyplot as plt
import torch
import torchvision
from captum.attr import (
    GuidedBackprop,
    GuidedGradCam,
    LayerActivation,
    LayerAttribution,
    LayerConductance,
    LayerGradCam,
)
from captum_utils import *
from data_utils import *
from image_utils import *
from PIL import Image

from visualizers import GradCam

plt.rcParams["image.cmap"] = "gray"

X, y, class_names = load_imagenet_val(num=5)

# Gradients are needed here: the parameters and the images require them.
gc_model = torchvision.models.squeezenet1_1(pretrained=True)
for param in gc_model.parameters():
    param.requires_grad = True
X_tensor = torch.cat([preprocess(Image.fromarray(x)) for x in X], dim=0).requires_grad_(True)
y_tensor = torch.LongTensor(y)

gc = GradCam()
gbp_result = gc.guided_backprop(X_tensor, y_tensor, gc_model)
plt.figure(figsize=(24, 24))
for i in range(gbp_result.shape[0]):
    plt.subplot(1, 5, i + 1)
    plt.imshow(rescale(gbp_result[i]))
    plt.title(class_names[y[i]])
    plt.axis("off")
plt.savefig("visualization/guided_backprop.png", bbox_inches="tight")

gradcam_result = gc.grad_cam(X_tensor, y_tensor, gc_model)
plt.figure(figsize=(24, 24))
for i in range(gradcam_result.shape[0]):
    plt.subplot(1, 5, i + 1)
    img = X[i] + matplotlib.cm.jet(gradcam_result[i])[:, :, :3] * 255
    plt.imshow(img / np.max(img))
    plt.title(class_names[y[i]])
    plt.axis("off")
plt.savefig("visualization/gradcam.png")

X_again = torch.cat([preprocess(Image.fromarray(x)) for x in X], dim=0).requires_grad_(True)
gradcam_again = gc.grad_cam(X_again, y_tensor, gc_model)
gbp_again = gc.guided_backprop(X_again, y_tensor, gc_model)
plt.figure(figsize=(24, 24))
for i in range(gradcam_again.shape[0]):
    plt.subplot(1, 5, i + 1)
    guided = np.expand_dims(gradcam_again[i], axis=2) * gbp_again[i]
    plt.imshow(rescale(guided))
    plt.axis("off")
plt.savefig("visualization/guided_gradcam.png")

# Captum, with a network of its own
model = torchvision.models.squeezenet1_1(pretrained=True)
for param in model.parameters():
    param.requires_grad = False
conv_module = model.features[12]

attr_ggc = compute_attributions(GuidedGradCam(model, conv_module), X_tensor, target=y_tensor)
visualize_attr_maps("visualization/guided_gradcam_captum.png", X, y, class_names, [attr_ggc], ["Guided Grad-CAM"])
attr_gbp = compute_attributions(GuidedBackprop(model), X_tensor, target=y_tensor)
visualize_attr_maps("visualization/guided_backprop_captum.png", X, y, class_names, [attr_gbp], ["Guided backprop"])

layer = model.features[3]


def layer_map(attr):
    """What the skeleton gives: the channels' mean, as large as the photograph."""
    return LayerAttribution.interpolate(attr.mean(0)[None, None], (224, 224))[0, 0].detach().numpy()


for method, title, path, options in (
    (LayerActivation(model, layer), "Activation", "layer_activation_captum", {}),
    (
        LayerConductance(model, layer),
        "Conductance",
        "layer_conductance_captum",
        {"target": y_tensor, "n_steps": 3},
    ),
    (LayerGradCam(model, layer), "Grad-CAM", "layer_gradcam_captum", {"target": y_tensor}),
):
    attr = compute_attributions(method, X_tensor, **options)
    visualize_attr_maps(f"visualization/{path}.png", X, y, class_names, [attr], [title], layer_map)
