"""Classic wrong visualizers."""

SALIENCY = ("visualizers/saliency_map.py", "SaliencyMap.compute_saliency_maps")

TECHNIQUES = []
