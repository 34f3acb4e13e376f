"""Solutions that are wrong in ways that once won."""

from tests.course.unusual import CAM_SCRIPT, CLASSVIS, FOOLING, SALIENCY, STYLE, whole
from tests.course.unusual.losses import STYLE_LOOP
from tests.course.unusual.techniques import CLIMB, SALIENCY_BODY

# Each with its parts and the points that they get; of Grad-CAM in a script that of the product, 0 of 1.
WRONG = [
    (
        whole(
            "style_of_the_first_image_only",
            "style",
            STYLE,
            STYLE_LOOP,
            """\
        loss = 0
        for i in range(len(style_layers)):
            current = self.gram_matrix(feats[style_layers[i]])
            loss += style_weights[i] * torch.sum((current[0] - style_targets[i][0]) ** 2)
        return loss
""",
        ),
        {"style": 9},
    ),
    (
        whole(
            "fooling_without_an_end",
            "fooling",
            FOOLING,
            "        for it in range(max_iter):\n",
            "        import itertools\n\n        for it in itertools.count():\n",
        ),
        {"fooling": 6},
    ),
    (whole("fooling_ends_at_five", "fooling", FOOLING, "max_iter = 100", "max_iter = 5"), {"fooling": 0}),
    (
        whole(
            "saliency_nearly_right",
            "saliency",
            SALIENCY,
            SALIENCY_BODY,
            SALIENCY_BODY + "        saliency *= 1.019\n",
        ),
        {"saliency": 0},
    ),
    (
        whole("classvis_penalty_off_by_two", "classvis", CLASSVIS, "- l2_reg *", "- 0.5 * l2_reg *"),
        {"classvis": 5},
    ),
    (
        whole(
            "classvis_penalty_apart_from_the_rate",
            "classvis",
            CLASSVIS,
            CLIMB,
            """\
            model(img_var)[0, target_y].backward()
            g = img_var.grad.data
            img_var.data += learning_rate * g / torch.norm(g) - 2 * l2_reg * img_var.data
            img_var.grad.zero_()
""",
        ),
        {"classvis": 5},
    ),
    (
        whole(
            "product_for_another_class",
            "gradcam",
            CAM_SCRIPT,
            "gradcam_again = gc.grad_cam(X_again, y_tensor, gc_model)",
            "gradcam_again = gc.grad_cam(X_again, y_tensor + 1, gc_model)",
        ),
        {"gradcam": 0},
    ),
    (
        whole(
            "product_in_another_order",
            "gradcam",
            CAM_SCRIPT,
            "gbp_again = gc.guided_backprop(X_again, y_tensor, gc_model)",
            "gbp_again = gc.guided_backprop(X_again, y_tensor.flip(0), gc_model)",
        ),
        {"gradcam": 0},
    ),
    (
        whole("sum_for_product", "gradcam", CAM_SCRIPT, "axis=2) * gbp_again[i]", "axis=2) + gbp_again[i]"),
        {"gradcam": 0},
    ),
    (
        whole("captum_another_layer", "gradcam_captum", CAM_SCRIPT, "model.features[12]", "model.features[3]"),
        {"gradcam_captum": 3},
    ),
    (
        whole(
            "captum_other_targets",
            "gradcam_captum",
            CAM_SCRIPT,
            "GuidedBackprop(model), X_tensor, target=y_tensor)",
            "GuidedBackprop(model), X_tensor, target=6)",
        ),
        {"gradcam_captum": 4},
    ),
]
