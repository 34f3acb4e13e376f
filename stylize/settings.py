"""Which layers and weights: the course's three parameter sets, and layers for larger networks."""

# Layers of squeezenet1_1.features, sizes in pixels (shortest side), weights for its usual activations.
COURSE_SETTINGS = {
    "composition_vii_tubingen": {
        "image_size": 192,
        "style_size": 512,
        "content_layer": 3,
        "content_weight": 5e-2,
        "style_layers": (1, 4, 6, 7),
        "style_weights": (20000, 500, 12, 1),
        "tv_weight": 5e-2,
    },
    "scream_tubingen": {
        "image_size": 192,
        "style_size": 224,
        "content_layer": 3,
        "content_weight": 3e-2,
        "style_layers": (1, 4, 6, 7),
        "style_weights": (200000, 800, 12, 1),
        "tv_weight": 2e-2,
    },
    "starry_tubingen": {
        "image_size": 192,
        "style_size": 192,
        "content_layer": 3,
        "content_weight": 6e-2,
        "style_layers": (1, 4, 6, 7),
        "style_weights": (300000, 1000, 15, 3),
        "tv_weight": 2e-2,
    },
}

# Gatys et al. 2016, section 3: content from conv4_2, style from conv1_1, conv2_1, ..., conv5_1, each after its
# ReLU; indices of torchvision's .features.
VGG_LAYERS = {"vgg16": (20, (1, 6, 11, 18, 25)), "vgg19": (22, (1, 6, 11, 20, 29))}
# The same section's weights, for a network scaled to mean activations of 1: alpha / beta = 1e-3, w_l = 1/5. With
# Gram matrices divided by C*H*W, alpha/2 * sum (F - P)^2 + beta/5 * 1/4 * sum (G - A)^2 is, times 100/beta:
VGG_CONTENT_WEIGHT, VGG_STYLE_WEIGHT = 5e-2, 5.0


def vgg_settings(network, base, mean_activation):
    """Make a parameter set for a VGG from one of the course's, which gives sizes and total variation.

    The paper scales the network's weights until its activations are 1 on average. Leaving the network as it is,
    the losses' weights are divided by what the scaling would have changed: a layer's features by m, the squares
    of their differences by m^2, those of its Gram matrix by m^4.

    Args:
        network: "vgg16" or "vgg19".
        base: one of COURSE_SETTINGS.
        mean_activation: function from a layer's index to the mean of its output over some photographs.

    Returns:
        Parameter set, a dict like the course's.

    Source:
        Gatys, Ecker, Bethge 2016, sections 2 and 3.
    """
    content_layer, style_layers = VGG_LAYERS[network]
    return {
        **base,
        "content_layer": content_layer,
        "content_weight": VGG_CONTENT_WEIGHT / mean_activation(content_layer) ** 2,
        "style_layers": style_layers,
        "style_weights": tuple(VGG_STYLE_WEIGHT / mean_activation(layer) ** 4 for layer in style_layers),
    }
