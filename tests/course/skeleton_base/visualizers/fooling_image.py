"""Fooling images, in the form of the course's skeleton, written plainly."""

import torch


class FoolingImage:
    def make_fooling_image(self, X, target_y, model):
        model.eval()
        X_fooling = X.clone()
        X_fooling_var = X_fooling.requires_grad_()
        learning_rate = 10
        max_iter = 100
        for it in range(max_iter):
            scores = model(X_fooling_var)
            _, predicted = torch.max(scores, dim=1)
            if predicted.item() == target_y:
                print(f"fooled after {it} steps")
                break
            scores[0, target_y].backward()
            g = X_fooling_var.grad.data
            X_fooling_var.data += learning_rate * g / torch.norm(g)
            X_fooling_var.grad.data.zero_()
        return X_fooling
