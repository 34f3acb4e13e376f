"""Class visualization, in the form that the course's skeleton gives a student's root script."""

import torch
import torchvision
from data_utils import *
from image_utils import *

from visualizers import ClassVisualization

dtype = torch.FloatTensor
model = torchvision.models.squeezenet1_1(pretrained=True)
for param in model.parameters():
    param.requires_grad = False
model.type(dtype)

_, _, class_names = load_imagenet_val(num=5)
cv = ClassVisualization()
targets = [134]
for target in targets:
    out = cv.create_class_visualization(target, class_names, model, dtype, num_iterations=25, show_every=25)
print(class_names[target], out.size)
