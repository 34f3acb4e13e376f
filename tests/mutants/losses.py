"""Classic wrong losses. Full points: 10 for each of content, gram, style and tv."""

from tests.mutants import Mutant

CONTENT = ("style_modules/content_loss.py", "ContentLoss.forward")
GRAM = ("style_modules/style_loss.py", "StyleLoss.gram_matrix")
STYLE = ("style_modules/style_loss.py", "StyleLoss.forward")
TV = ("style_modules/tv_loss.py", "TotalVariationLoss.forward")


def content(name, body, points, says=""):
    return Mutant(name, {CONTENT: body}, {"content": points}, says)


def gram(name, body, points, style, says=""):
    return Mutant(name, {GRAM: body}, {"gram": points, "style": style}, says)


def style(name, body, points, says=""):
    return Mutant(name, {STYLE: body}, {"style": points}, says)


def tv(name, body, points, says="", before=""):
    return Mutant(name, {TV: body}, {"tv": points}, says, {TV[0]: before} if before else {})


DIFFERENCE = "d = content_current - content_original\n"
FLAT = "N, C, H, W = features.shape\nF = features.reshape(N, C, H * W)\nG = F @ F.transpose(1, 2)\n"
PAIRS = "zip(style_layers, style_targets, style_weights)"
SLICES = "a = img[..., :, 1:] - img[..., :, :-1]\nb = img[..., 1:, :] - img[..., :-1, :]\n"

LOSSES = [
    content("content_without_weight", DIFFERENCE + "return d.square().sum()", 0, "off by the weight"),
    content(
        "content_weight_twice", DIFFERENCE + "return content_weight**2 * d.square().sum()", 0, "off by the weight"
    ),
    content("content_mean", DIFFERENCE + "return content_weight * d.square().mean()", 0, "mean was taken"),
    content("content_half", DIFFERENCE + "return content_weight * d.square().sum() / 2", 0, "factor 1/2"),
    content(
        "content_by_the_batch", DIFFERENCE + "return content_weight * d.square().sum() / len(d)", 2, "of images"
    ),
    content("content_absolute", DIFFERENCE + "return content_weight * d.abs().sum()", 0, "must be squared"),
    content("content_norm", DIFFERENCE + "return content_weight * d.norm()", 0, "root was taken"),
    content("content_sum_then_square", DIFFERENCE + "return content_weight * d.sum() ** 2", 0, "square each"),
    content(
        "content_detached",
        DIFFERENCE + "return content_weight * d.detach().square().sum()",
        7,
        "right value, gradient zero: detached from the graph?",
    ),
    content("content_item", DIFFERENCE + "return content_weight * d.square().sum().item()", 7, "detached"),
    content(
        "content_half_the_gradient",
        DIFFERENCE + "v = d.square().sum()\nreturn content_weight * (v / 2 + (v / 2).detach())",
        7,
        "the gradient is 0.5 times the right one",
    ),
    gram("gram_not_normalised", FLAT + "return G", 2, 7, "not normalised: divide by C*H*W"),
    gram("gram_by_places", FLAT + "return G / (H * W) if normalize else G", 2, 7, "normalised by H*W only"),
    gram("gram_by_channels", FLAT + "return G / C if normalize else G", 2, 7, "normalised by C only"),
    gram("gram_by_batch_too", FLAT + "return G / (N * C * H * W) if normalize else G", 7, 10, "batch size too"),
    gram("gram_always_normalised", FLAT + "return G / (C * H * W)", 6, 10, "although normalize=False"),
    gram("gram_transposed", FLAT + "return F.transpose(1, 2) @ F / (C * H * W)", 0, 7, "transposed"),
    gram(
        "gram_wrong_reshape",
        FLAT + "F = features.reshape(N, H * W, C)\nG = F.transpose(1, 2) @ F\n"
        "return G / (C * H * W) if normalize else G",
        0,
        7,
        "wrong order",
    ),
    gram(
        "gram_first_image_only",
        "N, C, H, W = features.shape\nF = features[0].reshape(C, H * W)\nG = (F @ F.T)[None]\n"
        "return G / (C * H * W) if normalize else G",
        7,
        10,
        "only the first image",
    ),
    gram(
        "gram_without_batch",
        FLAT + "G = G[0]\nreturn G / (C * H * W) if normalize else G",
        2,
        8,
        "batch dimension",
    ),
    gram("gram_detached", FLAT + "G = G.detach()\nreturn G / (C * H * W) if normalize else G", 8, 10, "detached"),
    style(
        "style_without_weights",
        f"return sum((self.gram_matrix(feats[i]) - t).square().sum() for i, t, w in {PAIRS})",
        0,
        "off by the weights",
    ),
    style(
        "style_first_weight_for_all",
        "w = style_weights[0]\n"
        f"return sum(w * (self.gram_matrix(feats[i]) - t).square().sum() for i, t, _ in {PAIRS})",
        0,
        "its own weight",
    ),
    style(
        "style_overwritten",
        f"for i, t, w in {PAIRS}:\n    loss = w * (self.gram_matrix(feats[i]) - t).square().sum()\nreturn loss",
        0,
        "only the last layer",
    ),
    style(
        "style_returns_early",
        f"loss = 0\nfor i, t, w in {PAIRS}:\n"
        "    loss = loss + w * (self.gram_matrix(feats[i]) - t).square().sum()\n    return loss",
        0,
        "only the first layer",
    ),
    style(
        "style_mean",
        f"return sum(w * (self.gram_matrix(feats[i]) - t).square().mean() for i, t, w in {PAIRS})",
        0,
        "mean was taken",
    ),
    style(
        "style_weight_inside_the_square",
        f"return sum((w * (self.gram_matrix(feats[i]) - t)).square().sum() for i, t, w in {PAIRS})",
        0,
        "outside the square",
    ),
    style(
        "style_divided_by_layers",
        f"return sum(w * (self.gram_matrix(feats[i]) - "
        f"t).square().sum() for i, t, w in {PAIRS}) / len(style_layers)",
        0,
        "divided by the number of layers",
    ),
    style(
        "style_detached",
        f"return sum(w * (self.gram_matrix(feats[i].data) - t).square().sum() for i, t, w in {PAIRS})",
        7,
        "detached",
    ),
    tv("tv_without_weight", SLICES + "return a.square().sum() + b.square().sum()", 0, "off by the weight"),
    tv("tv_absolute", SLICES + "return tv_weight * (a.abs().sum() + b.abs().sum())", 0, "must be squared"),
    tv("tv_mean", SLICES + "return tv_weight * (a.square().mean() + b.square().mean())", 0, "mean was taken"),
    tv("tv_to_the_right_only", SLICES + "return tv_weight * a.square().sum()", 0, "those below are missing"),
    tv("tv_downwards_only", SLICES + "return tv_weight * b.square().sum()", 0, "those to the right are missing"),
    tv(
        "tv_wraps_around",
        "return tv_weight * ((img.roll(1, 2) - img).square().sum() + (img.roll(1, 3) - img).square().sum())",
        0,
        "wraps around",
    ),
    tv(
        "tv_one_row_short",
        SLICES + "return tv_weight * (a[:, :, :-1].square().sum() + b[..., :-1].square().sum())",
        0,
        "left out",
    ),
    tv(
        "tv_detached",
        "img = img.detach()\n" + SLICES + "return tv_weight * (a.square().sum() + b.square().sum())",
        8,
        "detached",
    ),
    tv(
        "tv_for_loop",
        "loss = 0\nfor i in range(img.shape[2] - 1):\n"
        "    loss = loss + (img[:, :, i + 1] - img[:, :, i]).square().sum()\n"
        "for j in range(img.shape[3] - 1):\n    loss = loss + (img[..., j + 1] - img[..., j]).square().sum()\n"
        "return tv_weight * loss",
        8,
        "a for loop",
    ),
    tv(
        "tv_loop_over_axes_in_a_helper",
        "return tv_weight * _both_ways(img)",
        8,
        "a generator expression",
        before="def _both_ways(img):\n    return sum(img.diff(dim=d).square().sum() for d in (2, 3))\n\n\n",
    ),
    tv(
        "tv_map",
        "return tv_weight * sum(map(lambda d: img.diff(dim=d).square().sum(), (2, 3)))",
        8,
        "map, which repeats",
    ),
    tv(
        "tv_recursion",
        "return tv_weight * _down(img, 3)",
        8,
        "recursion",
        before="def _down(img, dim):\n    here = img.diff(dim=dim).square().sum()\n"
        "    return here if dim == 2 else here + _down(img, dim - 1)\n\n\n",
    ),
    tv(
        "tv_loop_hidden_in_another_file",
        "import style_modules.hidden as hidden\nreturn tv_weight * hidden.total(img)",
        8,
        "more operations",
    ),
]
