"""Saliency maps, in the form of the course's skeleton, written plainly."""

import matplotlib.pyplot as plt
import torch
from PIL import Image

from image_utils import preprocess


class SaliencyMap:
    def compute_saliency_maps(self, X, y, model):
        model.eval()
        X.requires_grad_()
        saliency = None
        scores = model(X)
        correct = scores.gather(1, y.view(-1, 1)).squeeze()
        correct.backward(torch.ones(correct.shape[0]) if correct.dim() else None)
        saliency, _ = torch.max(X.grad.data.abs(), dim=1)
        return saliency

    def show_saliency_maps(self, X, y, class_names, model):
        X_tensor = torch.cat([preprocess(Image.fromarray(x)) for x in X], dim=0)
        y_tensor = torch.LongTensor(y)
        saliency = self.compute_saliency_maps(X_tensor, y_tensor, model).numpy()
        N = X.shape[0]
        for i in range(N):
            plt.subplot(2, N, i + 1)
            plt.imshow(X[i])
            plt.title(class_names[y[i]])
            plt.subplot(2, N, N + i + 1)
            plt.imshow(saliency[i], cmap=plt.cm.gray)
            plt.gcf().set_size_inches(12, 5)
        plt.savefig("visualization/saliency_map.png")
        return plt
