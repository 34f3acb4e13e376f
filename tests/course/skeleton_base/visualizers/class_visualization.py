"""Class visualizations, in the form of the course's skeleton, written plainly."""

import random

import matplotlib.pyplot as plt
import torch
from scipy.ndimage import gaussian_filter1d

from image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD, deprocess


class ClassVisualization:
    def jitter(self, X, ox, oy):
        if ox != 0:
            left = X[:, :, :, :-ox]
            right = X[:, :, :, -ox:]
            X = torch.cat([right, left], dim=3)
        if oy != 0:
            top = X[:, :, :-oy]
            bottom = X[:, :, -oy:]
            X = torch.cat([bottom, top], dim=2)
        return X

    def blur_image(self, X, sigma=1):
        X_np = X.cpu().clone().numpy()
        X_np = gaussian_filter1d(X_np, sigma, axis=2)
        X_np = gaussian_filter1d(X_np, sigma, axis=3)
        X.copy_(torch.Tensor(X_np).type_as(X))
        return X

    def create_class_visualization(self, target_y, class_names, model, dtype, **kwargs):
        model.eval()
        model.type(dtype)
        l2_reg = kwargs.pop("l2_reg", 1e-3)
        learning_rate = kwargs.pop("learning_rate", 25)
        num_iterations = kwargs.pop("num_iterations", 100)
        blur_every = kwargs.pop("blur_every", 10)
        max_jitter = kwargs.pop("max_jitter", 16)
        show_every = kwargs.pop("show_every", 25)
        generate_plots = kwargs.pop("generate_plots", True)

        img = torch.randn(1, 3, 224, 224).mul_(1.0).type(dtype)
        img_var = img.clone().requires_grad_()
        for t in range(num_iterations):
            ox, oy = random.randint(0, max_jitter), random.randint(0, max_jitter)
            img_var.data.copy_(self.jitter(img_var.data, ox, oy))

            scores = model(img_var)
            loss = scores[0, target_y] - l2_reg * torch.norm(img_var) ** 2
            loss.backward()
            g = img_var.grad.data
            img_var.data += learning_rate * g / torch.norm(g)
            img_var.grad.zero_()

            img_var.data.copy_(self.jitter(img_var.data, -ox, -oy))
            for c in range(3):
                lo = float(-SQUEEZENET_MEAN[c] / SQUEEZENET_STD[c])
                hi = float((1.0 - SQUEEZENET_MEAN[c]) / SQUEEZENET_STD[c])
                img_var.data[:, c].clamp_(min=lo, max=hi)
            if t % blur_every == 0:
                self.blur_image(img_var.data, sigma=0.5)
            if generate_plots and (t == 0 or (t + 1) % show_every == 0 or t == num_iterations - 1):
                plt.imshow(deprocess(img_var.data.clone().cpu()))
                plt.title(f"{class_names[target_y]}\nIteration {t + 1} / {num_iterations}")
                plt.savefig(f"visualization/class_visualization_iter_{t + 1}.png")
        return deprocess(img_var.data.cpu())
