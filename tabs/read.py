"""Read: of a tab, the papers with their formulas, the functions' source, and what gives the same result."""

import inspect
import textwrap

import gradio as gr

from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import style_transfer
from tabs.visit import visit_of
from visualizers import ClassVisualization, CustomReLU, FoolingImage, GradCam, SaliencyMap

READINGS = {
    "Explain": (SaliencyMap.compute_saliency_maps, CustomReLU, GradCam.guided_backprop, GradCam.grad_cam),
    "Fool": (FoolingImage.make_fooling_image, FoolingImage.make_minimal_fooling_image),
    "Dream": (ClassVisualization.create_class_visualization, ClassVisualization.create_class_visualizations),
    "Paint": (ContentLoss, StyleLoss, TotalVariationLoss, style_transfer),
}


def read(tab, request: gr.Request):
    """Collect what there is to read of a tab."""
    papers = dict.fromkeys(inspect.getdoc(inspect.getmodule(function)) for function in READINGS[tab])
    source = "\n\n".join(textwrap.dedent(inspect.getsource(function)) for function in READINGS[tab])
    nothing_yet = ["# compute something in that tab; what gives the same appears here"] * 2
    return "\n\n---\n\n".join(papers), source, *visit_of(request).recipes.get(tab, nothing_yet)


def build(tabs):
    """Lay out the tab; `tabs` are all of them by name."""
    subject, code = gr.Radio(list(READINGS), value="Explain", label="Read about"), {"interactive": False}
    commands = gr.Code(label="The same from the command line", language="shell", elem_id="commands", **code)
    lines = gr.Code(label="The same in Python", language="python", elem_id="lines", **code)
    papers = gr.Markdown(elem_id="papers")
    source = gr.Code(label="The functions", language="python", max_lines=40, elem_id="source", **code)
    for name in READINGS:
        tabs[name].select(None, None, subject, js=f"() => {name!r}")
    for event in (tabs["Read"].select, subject.input):
        event(read, subject, [papers, source, commands, lines], show_progress="hidden", queue=False)
