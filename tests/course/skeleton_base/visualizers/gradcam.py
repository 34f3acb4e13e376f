"""Guided backprop and Grad-CAM, in the form of the course's skeleton, written plainly."""

import numpy as np
import torch
from PIL import Image
from torchvision.models.squeezenet import Fire


class CustomReLU(torch.autograd.Function):
    @staticmethod
    def forward(self, x):
        positive = (x > 0).type_as(x)
        output = torch.addcmul(torch.zeros(x.size()).type_as(x), x, positive)
        self.save_for_backward(x, output)
        return output

    @staticmethod
    def backward(self, dout):
        x, _output = self.saved_tensors
        dx = dout.clone()
        dx[x <= 0] = 0
        dx[dout <= 0] = 0
        return dx


class GradCam:
    def guided_backprop(self, X_tensor, y_tensor, gc_model):
        for param in gc_model.parameters():
            param.requires_grad = True
        for idx, module in gc_model.features._modules.items():
            if module.__class__.__name__ == "ReLU":
                gc_model.features._modules[idx] = CustomReLU.apply
            elif isinstance(module, Fire):
                for name, child in module._modules.items():
                    if child.__class__.__name__ == "ReLU":
                        module._modules[name] = CustomReLU.apply
        scores = gc_model(X_tensor)
        loss = scores.gather(1, y_tensor.view(-1, 1)).sum()
        loss.backward()
        gradient = X_tensor.grad.data.numpy()
        return np.transpose(gradient, (0, 2, 3, 1))

    def grad_cam(self, X_tensor, y_tensor, gc_model):
        conv_module = gc_model.features[12]
        self.gradient_value = None
        self.activation_value = None

        def gradient_hook(a, b, gradient):
            self.gradient_value = gradient[0]

        def activation_hook(a, b, activation):
            self.activation_value = activation

        conv_module.register_forward_hook(activation_hook)
        conv_module.register_backward_hook(gradient_hook)
        scores = gc_model(X_tensor)
        scores.gather(1, y_tensor.view(-1, 1)).sum().backward()
        weights = self.gradient_value.mean(dim=(2, 3))
        cam = torch.zeros(X_tensor.shape[0], *self.activation_value.shape[2:])
        for i in range(cam.shape[0]):
            for k in range(weights.shape[1]):
                cam[i] += weights[i, k] * self.activation_value[i, k].detach()
        cam = torch.relu(cam)
        cam = cam.detach().numpy()
        cam_scaled = []
        for i in range(cam.shape[0]):
            cam_scaled.append(np.array(Image.fromarray(cam[i]).resize(X_tensor[i, 0, :, :].shape, Image.BICUBIC)))
        cam = np.array(cam_scaled)
        cam -= np.min(cam)
        cam /= np.max(cam)
        return cam
