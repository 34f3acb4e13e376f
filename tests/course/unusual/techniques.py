"""Right techniques and root scripts in unusual forms."""

from tests.course.unusual import CAM, CAM_SCRIPT, CLASSVIS, FOOLING, SALIENCY, SALIENCY_SCRIPT, whole

SALIENCY_BODY = """        scores = model(X)
        correct = scores.gather(1, y.view(-1, 1)).squeeze()
        correct.backward(torch.ones(correct.shape[0]) if correct.dim() else None)
        saliency, _ = torch.max(X.grad.data.abs(), dim=1)
"""
GUIDED = """        scores = gc_model(X_tensor)
        loss = scores.gather(1, y_tensor.view(-1, 1)).sum()
        loss.backward()
        gradient = X_tensor.grad.data.numpy()
        return np.transpose(gradient, (0, 2, 3, 1))
"""
RULE = """        x, _output = self.saved_tensors
        dx = dout.clone()
        dx[x <= 0] = 0
        dx[dout <= 0] = 0
        return dx
"""
CAM_SCORE = """        scores.gather(1, y_tensor.view(-1, 1)).sum().backward()
"""
CAM_SUM = """        weights = self.gradient_value.mean(dim=(2, 3))
        cam = torch.zeros(X_tensor.shape[0], *self.activation_value.shape[2:])
        for i in range(cam.shape[0]):
            for k in range(weights.shape[1]):
                cam[i] += weights[i, k] * self.activation_value[i, k].detach()
        cam = torch.relu(cam)
"""
HOOKS = """        conv_module.register_forward_hook(activation_hook)
        conv_module.register_backward_hook(gradient_hook)
"""
FOOL = """            scores = model(X_fooling_var)
            _, predicted = torch.max(scores, dim=1)
            if predicted.item() == target_y:
                print(f"fooled after {it} steps")
                break
            scores[0, target_y].backward()
            g = X_fooling_var.grad.data
            X_fooling_var.data += learning_rate * g / torch.norm(g)
            X_fooling_var.grad.data.zero_()
"""
CLIMB = """            scores = model(img_var)
            loss = scores[0, target_y] - l2_reg * torch.norm(img_var) ** 2
            loss.backward()
            g = img_var.grad.data
            img_var.data += learning_rate * g / torch.norm(g)
            img_var.grad.zero_()
"""
TECHNIQUES = [
    whole(
        "saliency_autograd_grad",
        "saliency",
        SALIENCY,
        SALIENCY_BODY,
        """\
        scores = model(X)[torch.arange(len(y)), y]
        (gradient,) = torch.autograd.grad(scores.sum(), X)
        saliency = gradient.abs().amax(1)
""",
    ),
    whole(
        "saliency_image_by_image",
        "saliency",
        SALIENCY,
        SALIENCY_BODY,
        """\
        saliency = torch.zeros(X.shape[0], *X.shape[2:])
        for i in range(X.shape[0]):
            image = X[i : i + 1].detach().clone().requires_grad_()
            model(image)[0, y[i]].backward()
            saliency[i] = image.grad[0].abs().max(dim=0).values
""",
    ),
    whole(
        "saliency_torch_func",
        "saliency",
        SALIENCY,
        SALIENCY_BODY,
        """\
        def score(x):
            return model(x).gather(1, y[:, None]).sum()

        saliency = torch.func.grad(score)(X.detach()).abs().max(1)[0]
""",
    ),
    whole(
        "saliency_in_double_precision",
        "saliency",
        SALIENCY,
        SALIENCY_BODY,
        """\
        x = X.detach().double().requires_grad_()
        model.double()(x).gather(1, y.view(-1, 1)).sum().backward()
        saliency = x.grad.abs().max(dim=1).values
        model.float()
""",
    ),
    whole(
        "saliency_retain_grad",
        "saliency",
        SALIENCY,
        SALIENCY_BODY,
        """\
        copy = X.clone()
        copy.retain_grad()
        model(copy).gather(1, y.view(-1, 1)).sum().backward()
        saliency = copy.grad.abs().max(dim=1)[0]
""",
    ),
    whole(
        "relu_where",
        "guided",
        CAM,
        RULE,
        """\
        x, _output = self.saved_tensors
        return torch.where((x > 0) & (dout > 0), dout, torch.zeros_like(dout))
""",
    ),
    whole(
        "relu_by_the_output",
        "guided",
        CAM,
        RULE,
        """\
        _, output = self.saved_tensors
        return dout.clamp(min=0) * (output > 0).float()
""",
    ),
    whole(
        "guided_one_hot",
        "guided",
        CAM,
        GUIDED,
        """\
        scores = gc_model(X_tensor)
        one_hot = torch.zeros_like(scores).scatter_(1, y_tensor[:, None], 1.0)
        scores.backward(gradient=one_hot)
        return X_tensor.grad.permute(0, 2, 3, 1).numpy()
""",
    ),
    whole(
        "gradcam_einsum",
        "gradcam",
        CAM,
        CAM_SUM,
        """\
        weights = self.gradient_value.mean(dim=(2, 3))
        cam = torch.einsum("nk,nkhw->nhw", weights, self.activation_value).clamp(min=0)
""",
    ),
    whole(
        "gradcam_sums_for_means",
        "gradcam",
        CAM,
        CAM_SUM,
        """\
        weights = self.gradient_value.sum(dim=[2, 3], keepdim=True)  # the stretch to [0, 1] takes H*W away
        cam = torch.nn.functional.relu((weights * self.activation_value).sum(1))
""",
    ),
    whole(
        "gradcam_full_backward_hook",
        "gradcam",
        CAM,
        HOOKS,
        HOOKS.replace("register_backward", "register_full_backward"),
    ),
    whole(
        "gradcam_without_hooks",
        "gradcam",
        CAM,
        CAM_SCORE,
        """\
        self.activation_value = gc_model.features[:13](X_tensor)
        self.activation_value.retain_grad()
        rest = gc_model.classifier(gc_model.features[13:](self.activation_value)).flatten(1)
        rest[range(len(y_tensor)), y_tensor].sum().backward()
        self.gradient_value = self.activation_value.grad
""",
    ),
    whole(
        "fooling_torch_func",
        "fooling",
        FOOLING,
        FOOL,
        """\
            if model(X_fooling).argmax() == target_y:
                break
            g = torch.func.grad(lambda x: model(x)[0, target_y])(X_fooling.detach())
            X_fooling.data += learning_rate * g / g.norm()
""",
    ),
    whole(
        "fooling_logs_the_new_score",
        "fooling",
        FOOLING,
        FOOL,
        FOOL
        + """\
            with torch.no_grad():
                print(it, model(X_fooling_var)[0, target_y].item())
""",
    ),
    whole(
        "fooling_in_double_precision",
        "fooling",
        FOOLING,
        FOOL,
        """\
            x = X_fooling_var.detach().double().requires_grad_()
            scores = model.double()(x)
            if scores.argmax(dim=1) == target_y:
                break
            (g,) = torch.autograd.grad(scores[0, target_y], x)
            X_fooling_var.data.add_((learning_rate * g / g.norm()).float())
""",
    ),
    whole(
        "classvis_torch_func",
        "classvis",
        CLASSVIS,
        CLIMB,
        """\
            def objective(x):
                return model(x)[0, target_y] - l2_reg * (x**2).sum()

            g = torch.func.grad(objective)(img_var.detach())
            img_var.data += learning_rate * g / g.norm()
""",
    ),
    whole(
        "classvis_penalty_in_the_gradient",
        "classvis",
        CLASSVIS,
        CLIMB,
        """\
            scores = model(img_var)
            scores[:, target_y].backward()
            g = img_var.grad - 2 * l2_reg * img_var.data
            img_var.data = img_var.data + learning_rate * g / torch.sqrt((g**2).sum())
            img_var.grad = None
""",
    ),
    whole(
        "classvis_descends_a_loss",
        "classvis",
        CLASSVIS,
        CLIMB,
        """\
            loss = -model(img_var)[0, target_y] + l2_reg * torch.sum(img_var * img_var)
            (g,) = torch.autograd.grad(loss, [img_var])
            img_var.data -= learning_rate * g / g.norm()
""",
    ),
    whole(
        "classvis_looks_at_the_new_score",
        "classvis",
        CLASSVIS,
        CLIMB,
        CLIMB
        + """\
            print(model(img_var.detach())[0, target_y].item())
""",
    ),
    whole(
        "captum_absolute_by_hand",
        "saliency_captum",
        SALIENCY_SCRIPT,
        "attr_saliency = compute_attributions(saliency, X_tensor, target=y_tensor)\n",
        "attr_saliency = saliency.attribute(X_tensor, target=y_tensor, abs=False).abs()\n",
    ),
    whole(
        "captum_one_trial_more",
        "saliency_captum",
        SALIENCY_SCRIPT,
        "attr_saliency = compute_attributions(saliency, X_tensor, target=y_tensor)\n",
        "trial = saliency.attribute(X_tensor[:1], target=0)\n"
        "attr_saliency = saliency.attribute(X_tensor, target=y.tolist())\n",
    ),
    whole(
        "captum_image_by_image",
        "saliency_captum",
        SALIENCY_SCRIPT,
        "attr_saliency = compute_attributions(saliency, X_tensor, target=y_tensor)\n",
        "attr_saliency = torch.cat([saliency.attribute(x[None], target=int(c)) for x, c in zip(X_tensor, y)])\n",
    ),
    whole(
        "product_of_a_new_object",
        "gradcam gradcam_captum",
        CAM_SCRIPT,
        "gradcam_again = gc.grad_cam(",
        "gradcam_again = GradCam().grad_cam(",
    ),
    whole(
        "product_stretched_by_hand",
        "gradcam gradcam_captum",
        CAM_SCRIPT,
        "    plt.imshow(rescale(guided))\n",
        "    guided = (guided - guided.min()) / (guided.max() - guided.min())\n"
        "    plt.imshow(np.uint8(255 * guided))\n",
    ),
    whole(
        "captum_in_functions",
        "gradcam_captum",
        CAM_SCRIPT,
        "attr_gbp = compute_attributions(GuidedBackprop(model), X_tensor, target=y_tensor)\n",
        "def captum_guided_backprop(x, labels):\n"
        "    return GuidedBackprop(model).attribute(x, target=labels)\n\n\n"
        "attr_gbp = captum_guided_backprop(X_tensor, y_tensor)\n",
    ),
]
