"""What everything starts from: the pretrained network, sample photographs, label names, reference outputs."""

from data.networks import load_network

__all__ = ["load_network"]
