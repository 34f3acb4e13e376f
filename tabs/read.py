"""Read: of a tab, the papers with their formulas, the functions' source, and the lines that give the same result."""

import inspect
import sys
import textwrap

import gradio as gr

from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import style_transfer
from tabs.visit import visit_of
from visualizers import ClassVisualization, CustomReLU, FoolingImage, GradCam, SaliencyMap
from visualizers.feature_visualization import ascend_spectrum

READINGS = {
    "Explain": (SaliencyMap.compute_saliency_maps, CustomReLU, GradCam.guided_backprop, GradCam.grad_cam),
    "Fool": (FoolingImage.make_fooling_image, FoolingImage.make_minimal_fooling_image),
    "Dream": (ClassVisualization.create_class_visualization, ascend_spectrum),
    "Paint": (ContentLoss, StyleLoss, TotalVariationLoss, style_transfer),
}
NOTHING_YET = "# compute something in that tab first; the lines that repeat it appear here"


def read(visit, tab):
    """Collect what there is to read of a tab."""
    papers = "\n\n---\n\n".join(dict.fromkeys(inspect.getdoc(sys.modules[f.__module__]) for f in READINGS[tab]))
    source = "\n\n".join(textwrap.dedent(inspect.getsource(f)) for f in READINGS[tab])
    return papers, source, *visit.recipes.get(tab, (NOTHING_YET, NOTHING_YET))


def build(tabs):
    """Lay out the tab, itself opened last of `tabs`, a dict from name to gr.Tab."""
    subject = gr.Radio(list(READINGS), value="Explain", label="Read about")
    commands = gr.Code(label="The same from the command line", language="shell", interactive=False)
    lines = gr.Code(label="The same in Python", language="python", interactive=False)
    papers = gr.Markdown()
    source = gr.Code(label="The functions", language="python", max_lines=40, interactive=False)
    outputs = [papers, source, commands, lines]

    def listener(request: gr.Request, tab):
        return read(visit_of(request), tab)

    for name in READINGS:
        tabs[name].select(None, None, subject, js=f"() => {name!r}")
    for event in (tabs["Read"].select, subject.input):
        event(listener, subject, outputs, show_progress="hidden")
