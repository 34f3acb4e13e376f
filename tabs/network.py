"""The network that every tab looks into: the embedded one, any of torchvision's, weights from a file."""

import gradio as gr

from data.networks import EMBEDDED_NAME, network_names
from image_utils.errors import InputError
from tabs.visit import QUICK, answered, cached_network

MAX_WEIGHTS = 600_000_000  # bytes
FROM_FILE = "the file dropped"


def choose(visit, name, weights, upload):
    """Load the network chosen and keep it for the visitor."""
    if weights == FROM_FILE:
        if upload is None:
            raise InputError("drop a file of weights first: .safetensors, .pth or .pt")
        weights = str(visit.keep(upload, MAX_WEIGHTS))
    cached_network(name, weights)
    visit.network = name, weights
    return f"Looking into **{name}**, weights: {visit.named(weights)}."


def build():
    """Lay out the chooser; returns the event after which another network is there."""
    with gr.Accordion("Network", open=False):
        name = gr.Dropdown(network_names(), value=EMBEDDED_NAME, label="Architecture (torchvision)")
        weights = gr.Radio(["embedded", FROM_FILE, "torchvision", "random"], value="embedded", label="Weights")
        upload = gr.File(label="A state dict: .safetensors, .pth or .pt", height=110)
        use = gr.Button("Use this network")
    said = gr.Markdown(f"Looking into **{EMBEDDED_NAME}**, weights: embedded.", elem_id="network")
    return use.click(answered(choose), [name, weights, upload], said, **QUICK)
