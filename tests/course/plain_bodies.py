"""The sheet's formulas, as a student writes them who knows only the course's skeleton and PyTorch's documentation.

One body for each box of the handout: its file, its function, its lines. Nothing of ours is called here.
"""

PLAIN = {
    ("visualizers/saliency_map.py", "SaliencyMap.compute_saliency_maps"): """
        scores = model(X)
        correct = scores.gather(1, y.view(-1, 1)).squeeze(1)
        correct.backward(torch.ones_like(correct))
        saliency, _ = torch.max(X.grad.data.abs(), dim=1)
    """,
    ("saliency_map.py", "captum_saliency"): """
        sal = Saliency(model)
        attr_sal = compute_attributions(sal, X_tensor, target=y_tensor)
        visualize_attr_maps(
            'visualization/saliency_captum.png', X, y, class_names, [attr_sal], ['Saliency'],
            lambda attr: attr.detach().abs().max(0)[0].numpy(),
        )
    """,
    ("visualizers/gradcam.py", "CustomReLU.backward"): """
        x, output = self.saved_tensors
        dx = dout.clone()
        dx[x <= 0] = 0
        dx[dout <= 0] = 0
        return dx
    """,
    ("visualizers/gradcam.py", "GradCam.guided_backprop"): """
        scores = gc_model(X_tensor)
        correct = scores.gather(1, y_tensor.view(-1, 1)).squeeze()
        loss = torch.sum(correct)
        loss.backward()
        gbp_result = X_tensor.grad.data.numpy()
        return np.transpose(gbp_result, (0, 2, 3, 1))
    """,
    ("visualizers/gradcam.py", "GradCam.grad_cam"): """
        scores = gc_model(X_tensor)
        scores.gather(1, y_tensor.view(-1, 1)).sum().backward()
        weights = torch.mean(self.gradient_value, dim=(2, 3), keepdim=True)
        cam = torch.relu(torch.sum(weights * self.activation_value, dim=1))
        cam = cam.detach().numpy()
    """,
    ("gradcam.py", "guided_grad_cam"): """
        img = gradcam_val * gbp_val
        img = (img - np.min(img)) / (np.max(img) - np.min(img))
    """,
    ("gradcam.py", "captum_guided"): """
        gbp = GuidedBackprop(model)
        attr_gbp = compute_attributions(gbp, X_tensor, target=y_tensor)
        visualize_attr_maps(
            'visualization/guided_backprop_captum.png', X, y, class_names, [attr_gbp], ['Guided Backprop']
        )
        ggc = GuidedGradCam(model, conv_module)
        attr_ggc = compute_attributions(ggc, X_tensor, target=y_tensor)
        visualize_attr_maps(
            'visualization/guided_gradcam_captum.png', X, y, class_names, [attr_ggc], ['Guided Grad-CAM']
        )
    """,
    ("gradcam.py", "captum_layers"): """
        layer_gc = LayerGradCam(model, layer)
        attr_gc = compute_attributions(layer_gc, X_tensor, target=y_tensor, relu_attributions=True)
        attr_gc = LayerAttribution.interpolate(attr_gc, (224, 224))
        visualize_attr_maps(
            'visualization/layer_gradcam_captum.png', X, y, class_names, [attr_gc], ['Layer Grad-CAM'],
            lambda attr: attr.detach().numpy()[0],
        )
        layer_cond = LayerConductance(model, layer)
        attr_cond = compute_attributions(layer_cond, X_tensor, target=y_tensor)
        attr_cond = LayerAttribution.interpolate(attr_cond.mean(dim=1, keepdim=True), (224, 224))
        visualize_attr_maps(
            'visualization/layer_conductance_captum.png', X, y, class_names, [attr_cond], ['Layer Conductance'],
            lambda attr: attr.detach().numpy()[0],
        )
    """,
    ("visualizers/fooling_image.py", "FoolingImage.make_fooling_image"): """
        scores = model(X_fooling_var)
        _, index = torch.max(scores, dim=1)
        if index[0] == target_y:
            break
        scores[0, target_y].backward()
        g = X_fooling_var.grad.data
        X_fooling_var.data += learning_rate * g / torch.norm(g)
        X_fooling_var.grad.data.zero_()
    """,
    ("visualizers/class_visualization.py", "ClassVisualization.create_class_visualization"): """
        scores = model(img_var)
        loss = scores[0, target_y] - l2_reg * torch.sum(img_var ** 2)
        loss.backward()
        g = img_var.grad.data
        img_var.data += learning_rate * g / torch.norm(g)
        img_var.grad.data.zero_()
    """,
    ("style_modules/content_loss.py", "ContentLoss.forward"): """
        return content_weight * torch.sum((content_current - content_original) ** 2)
    """,
    ("style_modules/style_loss.py", "StyleLoss.gram_matrix"): """
        N, C, H, W = features.size()
        F = features.view(N, C, H * W)
        gram = torch.bmm(F, F.permute(0, 2, 1))
        if normalize:
            gram = gram / (C * H * W)
        return gram
    """,
    ("style_modules/style_loss.py", "StyleLoss.forward"): """
        loss = 0
        for i in range(len(style_layers)):
            gram = self.gram_matrix(feats[style_layers[i]])
            loss += style_weights[i] * torch.sum((gram - style_targets[i]) ** 2)
        return loss
    """,
    ("style_modules/tv_loss.py", "TotalVariationLoss.forward"): """
        down = img[:, :, 1:, :] - img[:, :, :-1, :]
        right = img[:, :, :, 1:] - img[:, :, :, :-1]
        return tv_weight * (torch.sum(down ** 2) + torch.sum(right ** 2))
    """,
    ("style_utils.py", "style_transfer"): """
        optimizer.zero_grad()
        loss = content_loss(content_weight, feats[content_layer], content_target)
        loss += style_loss(feats, style_layers, style_targets, style_weights)
        loss += tv_loss(img, tv_weight)
        loss.backward()
        if t == decay_lr_at:
            for group in optimizer.param_groups:
                group['lr'] = decayed_lr
        optimizer.step()
    """,
}
