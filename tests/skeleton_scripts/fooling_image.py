"""A fooling image, in the form that the course's skeleton gives a student's root script."""

import matplotlib.pyplot as plt
import torch
import torchvision
from data_utils import *
from image_utils import *
from PIL import Image

from visualizers import FoolingImage

model = torchvision.models.squeezenet1_1(pretrained=True)
for param in model.parameters():
    param.requires_grad = False

X, y, class_names = load_imagenet_val(num=5)
idx = 0
target_y = 6
X_tensor = torch.cat([preprocess(Image.fromarray(x)) for x in X], dim=0)
X_fooling = FoolingImage().make_fooling_image(X_tensor[idx : idx + 1], target_y, model)

scores = model(X_fooling)
if target_y != scores.data.max(1)[1][0].item():
    print("The model is not fooled!")

X_fooling_np = np.asarray(deprocess(X_fooling.clone())).astype(np.uint8)
plt.figure(figsize=(12, 6))
plt.subplot(1, 4, 1)
plt.imshow(X[idx])
plt.title(class_names[y[idx]])
plt.subplot(1, 4, 2)
plt.imshow(X_fooling_np)
plt.title(class_names[target_y])
plt.subplot(1, 4, 3)
X_pre = preprocess(Image.fromarray(X[idx]))
plt.imshow(np.asarray(deprocess(X_fooling - X_pre, should_rescale=False)))
plt.title("Difference")
plt.subplot(1, 4, 4)
plt.imshow(np.asarray(deprocess(10 * (X_fooling - X_pre), should_rescale=False)))
plt.title("Magnified difference (10x)")
plt.gcf().tight_layout()
plt.savefig("visualization/fooling_image.png")
