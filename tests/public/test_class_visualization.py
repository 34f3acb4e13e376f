"""A class visualization climbs its class score."""

import torch

from visualizers.class_visualization import ClassVisualization


def test_class_visualization_climbs(network):
    scores = []

    def watched(module, arguments, outputs):
        scores.append(outputs[0, 187].item())

    hook = network.register_forward_hook(watched)
    try:
        ClassVisualization().create_class_visualization(
            187, {187: "Yorkshire terrier"}, network, torch.FloatTensor, num_iterations=12, generate_plots=False
        )
    finally:
        hook.remove()
    assert len(scores) >= 12 and scores[-1] > scores[0] + 5
