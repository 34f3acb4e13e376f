"""Right losses and update rules in unusual forms."""

from tests.course.unusual import CONTENT, STYLE, TV, UTILS, unusual, whole

SUM_OF_SQUARES = "        return content_weight * torch.sum((content_current - content_original) ** 2)\n"
GRAM = """        N, C, H, W = features.size()
        features = features.view(N, C, H * W)
        gram = torch.bmm(features, features.permute(0, 2, 1))
        if normalize:
            gram = gram / (C * H * W)
        return gram
"""
STYLE_LOOP = """        loss = 0
        for i in range(len(style_layers)):
            current = self.gram_matrix(feats[style_layers[i]])
            loss += style_weights[i] * torch.sum((current - style_targets[i]) ** 2)
        return loss
"""
TV_BODY = """        H, W = img.shape[2:]
        rows = torch.sum((img[:, :, 1:, :] - img[:, :, : H - 1, :]) ** 2)
        columns = torch.sum((img[:, :, :, 1:] - img[:, :, :, : W - 1]) ** 2)
        return tv_weight * (rows + columns)
"""
UPDATE = """        optimizer.zero_grad()
        loss = content_loss(content_weight, feats[content_layer], content_target)
        loss += style_loss(feats, style_layers, style_targets, style_weights)
        loss += tv_loss(img, tv_weight)
        loss.backward()
        if t == decay_lr_at:
            optimizer = torch.optim.Adam([img], lr=decayed_lr)
        optimizer.step()
"""
ALL_LOSSES = """content_loss(content_weight, feats[content_layer], content_target) + tv_loss(img, tv_weight) \\
            + style_loss(feats, style_layers, style_targets, style_weights)
"""
KERNEL = """        filter = torch.tensor([[[[-1.0, 1.0]]]]).repeat(3, 1, 1, 1)
        columns = torch.nn.functional.conv2d(img, filter, groups=3)
        rows = torch.nn.functional.conv2d(img, filter.transpose(2, 3), groups=3)
        return tv_weight * (columns.pow(2).sum() + rows.pow(2).sum())
"""
CACHED = """        if not hasattr(self, "kernel"):
            self.kernel = torch.zeros(6, 1, 2, 2)
            self.kernel[::2, 0, 0, 1] = self.kernel[1::2, 0, 1, 0] = 1
            self.kernel[:, 0, 0, 0] = -1
        padded = torch.nn.functional.pad(img, (0, 1, 0, 1), mode="replicate")
        return tv_weight * torch.nn.functional.conv2d(padded, self.kernel, groups=3).square().sum()
"""

LOSSES = [
    whole(
        "content_mse",
        "content",
        CONTENT,
        SUM_OF_SQUARES,
        """\
        return content_weight * nn.functional.mse_loss(content_current, content_original, reduction="sum")
""",
    ),
    whole(
        "content_norm_squared",
        "content",
        CONTENT,
        SUM_OF_SQUARES,
        """\
        return content_weight * torch.linalg.vector_norm(content_current - content_original) ** 2
""",
    ),
    whole(
        "content_dot_product",
        "content",
        CONTENT,
        SUM_OF_SQUARES,
        """\
        difference = torch.flatten(content_current - content_original)
        return content_weight * (difference @ difference)
""",
    ),
    whole(
        "content_in_double_precision",
        "content",
        CONTENT,
        SUM_OF_SQUARES,
        """\
        return content_weight * ((content_current - content_original).double() ** 2).sum()
""",
    ),
    whole(
        "content_one_element_tensor",
        "content",
        CONTENT,
        SUM_OF_SQUARES,
        """\
        return (content_weight * torch.sum((content_current - content_original) ** 2)).view(1)
""",
    ),
    whole(
        "gram_einsum",
        "gram style",
        STYLE,
        GRAM,
        """\
        gram = torch.einsum("nchw,ndhw->ncd", features, features)
        return gram / features[0].numel() if normalize else gram
""",
    ),
    whole(
        "gram_image_by_image",
        "gram style",
        STYLE,
        GRAM,
        """\
        grams = []
        for image in features:
            flat = image.reshape(image.shape[0], -1)
            grams.append(torch.mm(flat, flat.t()))
        gram = torch.stack(grams)
        if normalize:
            gram.div_(features.shape[1] * features.shape[2] * features.shape[3])
        return gram
""",
    ),
    whole(
        "gram_channel_by_channel",
        "gram",
        STYLE,
        GRAM,
        """\
        N, C, H, W = features.shape
        gram = torch.zeros(N, C, C)
        for i in range(C):
            for j in range(C):
                gram[:, i, j] = (features[:, i] * features[:, j]).sum(dim=(1, 2))
        return gram / (C * H * W) if normalize else gram
""",
    ),
    whole(
        "style_own_gram_helper",
        "style",
        STYLE,
        STYLE_LOOP,
        """\
        def square(x):
            return x * x

        def gram(f):
            flat = f.flatten(2)
            return flat.matmul(flat.transpose(1, 2)) / flat[0].numel()

        layers = zip(style_layers, style_targets, style_weights)
        return torch.stack([w * square(gram(feats[i]) - t).sum() for i, t, w in layers]).sum()
""",
    ),
    whole(
        "style_mse_loss",
        "style",
        STYLE,
        STYLE_LOOP,
        """\
        criterion = nn.MSELoss(reduction="sum")
        loss = torch.zeros(1)
        for index, layer in enumerate(style_layers):
            loss = loss + style_weights[index] * criterion(self.gram_matrix(feats[layer]), style_targets[index])
        return loss
""",
    ),
    whole(
        "style_gram_called_by_the_class",
        "style",
        STYLE,
        STYLE_LOOP,
        """\
        return sum(
            weight * (StyleLoss.gram_matrix(self, feats[layer]) - target).pow(2).sum()
            for layer, target, weight in zip(style_layers, style_targets, style_weights)
        )
""",
    ),
    whole(
        "tv_torch_diff",
        "tv",
        TV,
        TV_BODY,
        """\
        return tv_weight * (torch.diff(img, dim=2).pow(2).sum() + torch.diff(img, dim=3).pow(2).sum())
""",
    ),
    whole("tv_kernel_in_a_filter", "tv", TV, TV_BODY, KERNEL),
    whole("tv_kernel_kept_on_the_module", "tv", TV, TV_BODY, CACHED),
    whole(
        "tv_helpers_called_diff_and_square",
        "tv",
        TV,
        TV_BODY,
        """\
        def diff(x, dim):
            return x.diff(dim=dim)

        def square(x):
            return torch.square(x)

        return tv_weight * (square(diff(img, 2)).sum() + square(diff(img, 3)).sum())
""",
    ),
    whole(
        "tv_rolled_and_cut",
        "tv",
        TV,
        TV_BODY,
        """\
        right = (torch.roll(img, -1, 3) - img)[..., :-1]
        down = (torch.roll(img, -1, 2) - img)[:, :, :-1]
        return tv_weight * (right.square().sum() + down.square().sum())
""",
    ),
    whole(
        "tv_narrow_and_mse",
        "tv",
        TV,
        TV_BODY,
        """\
        _, _, h, w = img.shape
        mse = nn.MSELoss(reduction="sum")
        rows = mse(img.narrow(2, 1, h - 1), img.narrow(2, 0, h - 1))
        return tv_weight * (rows + mse(img.narrow(3, 1, w - 1), img.narrow(3, 0, w - 1)))
""",
    ),
    unusual(
        "tv_file_with_a_byte_order_mark", "tv", TV, ('"""The total-variation', '\ufeff"""The total-variation')
    ),
    unusual(
        "tv_file_with_a_coding_cookie", "tv", TV, ('"""The total-variation', '# -*- coding: utf-8 -*-\n"""The')
    ),
    whole(
        "update_one_adam_with_a_lower_rate",
        "update",
        UTILS,
        "optimizer = torch.optim.Adam([img], lr=decayed_lr)\n",
        'optimizer.param_groups[0]["lr"] = decayed_lr\n',
    ),
    whole(
        "update_rate_lowered_after_the_step",
        "update",
        UTILS,
        UPDATE,
        f"""\
        loss = {ALL_LOSSES}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if t == decay_lr_at:
            optimizer = torch.optim.Adam([img], lr=decayed_lr)
""",
    ),
    whole(
        "update_one_adam_lowered_after_the_step",
        "update",
        UTILS,
        UPDATE,
        f"""\
        loss = {ALL_LOSSES}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for group in optimizer.param_groups if t == decay_lr_at else ():
            group["lr"] = decayed_lr
""",
    ),
    whole(
        "update_with_a_closure",
        "update",
        UTILS,
        UPDATE,
        f"""\
        if t == decay_lr_at:
            optimizer = torch.optim.Adam([img], lr=decayed_lr)

        def closure():
            optimizer.zero_grad()
            feats = extract_features(img, cnn)
            loss = {ALL_LOSSES}
            loss.backward()
            return loss

        optimizer.step(closure)
""",
    ),
    whole(
        "update_logs_a_second_evaluation",
        "update",
        UTILS,
        UPDATE,
        UPDATE
        + """\
        if t % 10 == 0:
            with torch.no_grad():
                feats = extract_features(img, cnn)
                print(t, content_loss(content_weight, feats[content_layer], content_target).item(),
                      tv_loss(img, tv_weight).item())
""",
    ),
    whole(
        "update_three_backward_passes",
        "update",
        UTILS,
        UPDATE,
        """\
        optimizer.zero_grad()
        content_loss(content_weight, feats[content_layer], content_target).backward(retain_graph=True)
        style_loss(feats, style_layers, style_targets, style_weights).backward(retain_graph=True)
        tv_loss(img, tv_weight).backward()
        if t == decay_lr_at:
            optimizer = torch.optim.Adam([img], lr=decayed_lr)
        optimizer.step()
""",
    ),
    whole(
        "update_autograd_grad",
        "update",
        UTILS,
        UPDATE,
        f"""\
        if t == decay_lr_at:
            optimizer = torch.optim.Adam([img], lr=decayed_lr)
        loss = {ALL_LOSSES}
        (img.grad,) = torch.autograd.grad(loss, img)
        optimizer.step()
""",
    ),
]
