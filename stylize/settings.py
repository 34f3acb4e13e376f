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
