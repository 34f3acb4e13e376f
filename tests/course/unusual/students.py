"""Right solutions as students write them who have seen nothing but the skeleton, with and without `testing`."""

from tests.course.unusual import (
    CAM,
    CAM_SCRIPT,
    CLASSVIS,
    CONTENT,
    FOOLING,
    SALIENCY,
    SALIENCY_SCRIPT,
    STYLE,
    TV,
    UTILS,
    unusual,
    whole,
)
from tests.course.unusual.losses import GRAM, STYLE_LOOP, SUM_OF_SQUARES, TV_BODY, UPDATE
from tests.course.unusual.techniques import CAM_SUM, CLIMB, FOOL, GUIDED, SALIENCY_BODY

WITH_TESTING = (
    ("    init_random=False,\n):", "    init_random=False,\n    testing=False,\n):"),
    (
        '    plt.savefig("styles_images/" + name + "_before.png")',
        '    if not testing:\n        plt.savefig("before.png")',
    ),
    ("    plt.imshow(deprocess(img.data.cpu()))\n", "    if testing:\n        return img\n    plt.imshow(img)\n"),
)

STUDENTS = [
    whole("student_content", "content", CONTENT, SUM_OF_SQUARES, """\
        # difference of the two feature maps
        diff = torch.sub(content_original, content_current)
        sq_diff = torch.mul(diff, diff)
        loss = torch.sum(sq_diff, dim=(0, 1, 2, 3))
        loss = loss * content_weight
        return loss
"""),
    whole("student_gram_filled_in", "gram style", STYLE, GRAM, """\
        N, C, H, W = features.shape
        gram = torch.zeros((N, C, C)).to(features.device)
        for n in range(N):
            feature = features[n].view(C, -1)
            gram[n] = torch.mm(feature, feature.transpose(0, 1))
        if normalize == True:
            gram /= float(H * W * C)
        return gram
"""),
    whole("student_gram_in_two_names", "gram style", STYLE, GRAM, """\
        shape = features.size()
        unrolled = features.reshape((shape[0], shape[1], shape[2] * shape[3]))
        result = torch.matmul(unrolled, torch.transpose(unrolled, 1, 2))
        if not normalize:
            return result
        return torch.div(result, torch.prod(torch.tensor(shape[1:])))
"""),
    whole("student_style_by_distance", "style", STYLE, STYLE_LOOP, """\
        style_loss = torch.tensor(0.0)
        for i, layer in enumerate(style_layers):
            G = self.gram_matrix(feats[layer], True)
            A = style_targets[i]
            style_loss = style_loss + style_weights[i] * torch.dist(G, A, p=2) ** 2
        return style_loss
"""),
    whole("student_tv_by_norms", "tv", TV, TV_BODY, """\
        horizontal = (img[:, :, :, :-1] - img[:, :, :, 1:]).norm() ** 2
        vertical = (img[:, :, :-1, :] - img[:, :, 1:, :]).norm() ** 2
        return tv_weight * (horizontal + vertical)
"""),
    unusual("student_update_with_testing", "update", UTILS, *WITH_TESTING, (UPDATE, """\
        c_loss = content_loss(content_weight, feats[content_layer], content_target)
        s_loss = style_loss(feats, style_layers, style_targets, style_weights)
        t_loss = tv_loss(img, tv_weight)
        total = c_loss + s_loss + t_loss
        optimizer.zero_grad()
        total.backward(retain_graph=True)
        if t == decay_lr_at:
            for param_group in optimizer.param_groups:
                param_group["lr"] = decayed_lr
        optimizer.step()
""")),
    unusual("student_update_with_testing_and_the_number", "update", UTILS, *WITH_TESTING, (UPDATE, """\
        if t == 180:
            optimizer = torch.optim.Adam([img], decayed_lr)
        if img.grad is not None:
            img.grad.zero_()
        losses = [
            content_loss(content_weight, feats[content_layer], content_target),
            style_loss(feats, style_layers, style_targets, style_weights),
            tv_loss(img, tv_weight),
        ]
        sum(losses).backward()
        optimizer.step()
""")),
    whole("student_update_by_a_branch", "update", UTILS, UPDATE, """\
        if t < decay_lr_at:
            for g in optimizer.param_groups:
                g["lr"] = initial_lr
        else:
            for g in optimizer.param_groups:
                g["lr"] = decayed_lr
        loss = content_loss(content_weight, feats[content_layer], content_target)
        loss = loss.add(style_loss(feats, style_layers, style_targets, style_weights)).add(tv_loss(img, tv_weight))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if t % 50 == 0:
            print("iteration", t, loss.item())
"""),
    whole("student_saliency", "saliency", SALIENCY, SALIENCY_BODY, """\
        out = model(X)
        correct_scores = torch.gather(out, 1, y.unsqueeze(1)).squeeze(1)
        model.zero_grad()
        correct_scores.backward(gradient=torch.ones_like(correct_scores))
        abs_grad = torch.abs(X.grad)
        saliency = torch.max(torch.max(abs_grad[:, 0], abs_grad[:, 1]), abs_grad[:, 2])
"""),
    whole("student_guided_one_score_after_another", "guided", CAM, GUIDED, """\
        out = gc_model.forward(X_tensor)
        for i in range(X_tensor.size(0)):
            out[i][y_tensor[i]].backward(retain_graph=True)
        result = X_tensor.grad.detach().cpu().numpy()
        return np.moveaxis(result, 1, -1)
"""),
    whole("student_gradcam_in_numpy", "gradcam", CAM, CAM_SUM, """\
        gradient = self.gradient_value.cpu().numpy()
        activation = self.activation_value.detach().cpu().numpy()
        alpha = np.mean(gradient, axis=(2, 3))[:, :, np.newaxis, np.newaxis]
        cam = torch.from_numpy(np.maximum(np.sum(alpha * activation, axis=1), 0))
"""),
    whole("student_fooling_anew_each_time", "fooling", FOOLING, FOOL, """\
            out = model(X_fooling)
            if torch.argmax(out, dim=1)[0] == target_y:
                break
            target_score = out[:, target_y].squeeze()
            model.zero_grad()
            grad = torch.autograd.grad(target_score, X_fooling)[0]
            dX = learning_rate * grad / torch.sqrt(torch.sum(grad * grad))
            X_fooling = (X_fooling + dX).detach().requires_grad_(True)
"""),
    whole("student_classvis_without_gradients", "classvis", CLASSVIS, CLIMB, """\
            score = model(img_var)[:, target_y]
            reg = l2_reg * torch.sum(torch.pow(img_var, 2))
            (score - reg).backward()
            with torch.no_grad():
                img_var += learning_rate * (img_var.grad / img_var.grad.norm(p=2))
            img_var.grad.zero_()
"""),
    whole("student_captum_saliency", "saliency_captum", SALIENCY_SCRIPT,
          "attr_saliency = compute_attributions(saliency, X_tensor, target=y_tensor)\n",
          "attr_saliency = saliency.attribute(X_tensor, target=y_tensor, abs=True)\n"
          "attr_saliency = attr_saliency.detach()\n"),
    unusual("student_product_all_at_once", "gradcam gradcam_captum", CAM_SCRIPT,
            ("gbp_again = gc.guided_backprop(X_again, y_tensor, gc_model)\n",
             "gbp_again = gc.guided_backprop(X_again, y_tensor, gc_model)\n"
             "product = gradcam_again[:, :, :, np.newaxis] * gbp_again\n"),
            ("guided = np.expand_dims(gradcam_again[i], axis=2) * gbp_again[i]\n", "guided = product[i]\n")),
]  # fmt: skip
