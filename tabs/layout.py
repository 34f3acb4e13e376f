"""The page around its tabs: the photograph, the network, what runs, and what there is to read."""

import functools
import inspect
import textwrap

import gradio as gr

from data.networks import EMBEDDED_NAME, network_names
from data.samples import package_folder
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import style_transfer
from tabs import dream, explain, fool, paint
from tabs.visit import MAX_WEIGHTS, cached_network, drop_area, forget, offer, streamed, visit_of
from visualizers import ClassVisualization, CustomReLU, FoolingImage, GradCam, SaliencyMap

OLD = (60, 1800)  # seconds: how often files shown are looked through, and after how long they are removed
FROM_FILE = "the file dropped"
SAMPLES = sorted(map(str, package_folder("foolbox").glob("data/imagenet_*_*.jpg")))
READINGS = {
    "Explain": (SaliencyMap.compute_saliency_maps, CustomReLU, GradCam.guided_backprop, GradCam.grad_cam),
    "Fool": (FoolingImage.make_fooling_image, FoolingImage.make_minimal_fooling_image),
    "Dream": (ClassVisualization.create_class_visualization, ClassVisualization.create_class_visualizations),
    "Paint": (ContentLoss, StyleLoss, TotalVariationLoss, style_transfer),
}
code = functools.partial(gr.Code, language="python", interactive=False)
NOTHING_YET = ["# compute something in that tab; what gives the same appears here"] * 2
STYLE = """
footer { display: none !important } .grid-wrap { min-height: 0 !important; max-height: none !important }
.grid-container { grid-template-columns: repeat(auto-fit, minmax(9em, 1fr)) !important }
.large img { width: 100%; height: 100%; object-fit: contain !important }
#samples .container { width: 3.1em; height: 3.1em }
#work { position: sticky; top: 0; z-index: 9; background: var(--body-background-fill); align-items: center }
#status { min-height: 2.4em } #cancel { max-width: 8em }
"""


def take(visit, tell, file):
    """Take a photograph."""
    visit.show(visit.keep(file))
    return visit.pixels


def choose(visit, tell, name, weights, upload):
    """Take another network."""
    if weights == FROM_FILE:
        weights = str(visit.keep(upload, most=MAX_WEIGHTS))
        cached_network.cache_clear()  # another file may have had this name before
    cached_network(name, weights)
    visit.network = name, weights
    return visit.said(f"Looking into **{name}**, weights: {weights}.")


def read(tab, request: gr.Request):
    """Collect what there is to read of a tab: papers with their formulas, source, what gives the same."""
    papers = dict.fromkeys(inspect.getdoc(inspect.getmodule(function)) for function in READINGS[tab])
    source = "\n\n".join(textwrap.dedent(inspect.getsource(function)) for function in READINGS[tab])
    return "\n\n\n".join(papers), source, *visit_of(request).recipes.get(tab, NOTHING_YET)


def cancel(request: gr.Request):
    """End what a visitor has running or waiting."""
    visit_of(request).cancel()


def leave(request: gr.Request):
    """Forget a visitor who has closed the page."""
    forget(request.session_hash)


def build():
    """Lay out the page. Returns gr.Blocks."""
    with gr.Blocks(title="What the network sees", analytics_enabled=False, delete_cache=OLD) as page, gr.Row():
        with gr.Column(scale=1, min_width=300):
            photograph = drop_area("Photograph", height=280, format="png", elem_id="photograph")
            samples = offer("Samples", SAMPLES, elem_id="samples")
            with gr.Accordion("Network", open=False):
                name = gr.Dropdown(network_names(), value=EMBEDDED_NAME, label="Architecture (torchvision)")
                weights = gr.Radio(
                    ["embedded", FROM_FILE, "torchvision", "random"], value="embedded", label="Weights"
                )
                upload = gr.File(label="A state dict: .safetensors, .pth or .pt", height=150, elem_id="weights")
                use = gr.Button("Use this network")
            network = gr.Markdown(f"Looking into **{EMBEDDED_NAME}**, weights: embedded.", elem_id="network")
        with gr.Column(scale=3, min_width=320):
            with gr.Row(elem_id="work"):
                status = gr.Markdown(" ", elem_id="status")
                gr.Button("Cancel", size="sm", elem_id="cancel").click(cancel, queue=False)

            def listen(event, function, inputs, outputs):
                return event(streamed(function), inputs, outputs, concurrency_limit=None, show_progress_on=status)

            with gr.Tabs():
                tabs = {title: gr.Tab(title) for title in (*READINGS, "Read")}
            with tabs["Explain"]:
                fresh = explain.build(listen)
            for title, module in (("Fool", fool), ("Dream", dream), ("Paint", paint)):
                with tabs[title]:
                    module.build(listen)
            with tabs["Read"]:
                subject = gr.Radio(list(READINGS), value="Explain", label="Read about")
                commands = code(label="The same from the command line", language="shell", elem_id="commands")
                lines = code(label="The same in Python", elem_id="lines")
                prose = {"language": None, "wrap_lines": True, "show_line_numbers": False}
                papers = code(label="The papers, the formulas", elem_id="papers", **prose)
                source = code(label="The functions", max_lines=40, elem_id="source")
            for title in READINGS:
                tabs[title].select(None, None, subject, js=f"() => {title!r}")
            for event in (tabs["Read"].select, subject.input):
                event(read, subject, [papers, source, commands, lines], show_progress="hidden", queue=False)
        fresh(listen(samples.click, take, samples, photograph).success)
        fresh(listen(photograph.upload, take, photograph, photograph).success)
        fresh(listen(use.click, choose, [name, weights, upload], network).success)
        page.unload(leave)
    return page
