"""A student's own script, written against the course's skeleton, runs on top of this repository unchanged."""

import os
import subprocess
import sys

import torch

from tests.conftest import ROOT

STUDENT = """
import torch
from torch.autograd import Variable
import torchvision
import matplotlib
import matplotlib.pyplot as plt
from PIL import Image
from captum.attr import IntegratedGradients, Saliency

from visualizers import GradCam, SaliencyMap
from data_utils import *
from image_utils import *
from captum_utils import *

plt.rcParams['figure.figsize'] = (10.0, 8.0)
plt.rcParams['image.interpolation'] = 'nearest'
plt.rcParams['image.cmap'] = 'gray'

model = torchvision.models.squeezenet1_1(pretrained=True)
for param in model.parameters():
    param.requires_grad = False

X, y, class_names = load_imagenet_val(num=2)
sm = SaliencyMap()
sm.show_saliency_maps(X, y, class_names, model)

X_tensor = torch.cat([preprocess(Image.fromarray(x)) for x in X], dim=0).requires_grad_(True)
y_tensor = torch.LongTensor(y)
maps = compute_attributions(Saliency(model), X_tensor, target=y_tensor)
visualize_attr_maps('visualization/saliency_captum.png', X, y, class_names, [maps], ['Saliency'])
int_grads = IntegratedGradients(model)
attr = compute_attributions(int_grads, X_tensor, target=y_tensor, n_steps=3)
visualize_attr_maps('visualization/int_grads_captum.png', X, y, class_names, [attr, maps], ['IG', 'Saliency'])
gc = GradCam()
gc_model = torchvision.models.squeezenet1_1(pretrained=True)
for param in gc_model.parameters():
    param.requires_grad = True
gbp_result = gc.guided_backprop(X_tensor, y_tensor, gc_model)
gradcam_result = gc.grad_cam(X_tensor, y_tensor, gc_model)
for i in range(gbp_result.shape[0]):
    img = X[i] + (matplotlib.cm.jet(gradcam_result[i])[:,:,:3]*255)
    plt.imshow(img / np.max(img))
    plt.imshow(rescale(np.expand_dims(gradcam_result[i], axis=2) * gbp_result[i]))
plt.savefig('visualization/gradcam.png')
assert isinstance(rescale(maps), torch.Tensor) and deprocess(X_tensor[:1]).size == (224, 224)
"""


def test_student_script(tmp_path, squeezenet):
    # `pretrained=True` reads torchvision's cache before it downloads; here lie weights of the same shapes.
    checkpoints = tmp_path / "cache" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(squeezenet.state_dict(), checkpoints / "squeezenet1_1-b8a52dc0.pth")
    (tmp_path / "saliency_student.py").write_text(STUDENT)
    environment = os.environ | {
        "TORCH_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "saliency_student.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    written = sorted(file.name for file in (tmp_path / "visualization").iterdir())
    assert written == ["gradcam.png", "int_grads_captum.png", "saliency_captum.png", "saliency_map.png"]
