"""A page that shows what a network sees: drop a photograph, and explain, fool, dream or paint.

Everything is computed here; nothing is sent anywhere. The address is printed; open it in a browser.
"""

import os
import secrets
import signal
import tempfile
import threading

import gradio as gr

from command_line import OneLineParser, run
from data.networks import EMBEDDED_NAME, network_names
from data.samples import package_folder
from image_utils.errors import InputError
from tabs import dream, explain, fool, paint, read
from tabs.visit import cached_network, drop_area, leave, offer, streamed, visit_of, visits

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OLD = (60, 1800)  # seconds: how often files shown are looked through, and after how long they are removed
MAX_WEIGHTS = 600_000_000  # bytes, a VGG's; pictures have a limit of their own
FROM_FILE = "the file dropped"
SAMPLES = sorted(map(str, package_folder("foolbox").glob("data/imagenet_*_*.jpg")))
OFF = ("share", "run_history", "enable_monitoring", "mcp_server", "ssr_mode", "pwa")  # Gradio's
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
        if upload is None:
            raise InputError("drop a file of weights first: .safetensors, .pth or .pt")
        weights = str(visit.keep(upload, most=MAX_WEIGHTS))
    cached_network(name, weights)
    visit.network = name, weights
    return f"Looking into **{name}**, weights: {visit.named(weights)}."


def cancel(request: gr.Request):
    """End what a visitor has running or waiting."""
    visit_of(request).cancel()


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
                upload = gr.File(label="A state dict: .safetensors, .pth or .pt", height=110, elem_id="weights")
                use = gr.Button("Use this network")
            network = gr.Markdown(f"Looking into **{EMBEDDED_NAME}**, weights: embedded.", elem_id="network")
        with gr.Column(scale=3, min_width=320):
            with gr.Row(elem_id="work"):
                status = gr.Markdown(" ", elem_id="status")
                gr.Button("Cancel", size="sm", elem_id="cancel").click(cancel, queue=False)
            with gr.Tabs():
                tabs = {name: gr.Tab(name) for name in (*read.READINGS, "Read")}

            def listen(event, function, inputs, outputs):
                return event(streamed(function), inputs, outputs, concurrency_limit=None, show_progress_on=status)

            with tabs["Explain"]:
                fresh = explain.build(listen)
            for name_, module in (("Fool", fool), ("Dream", dream), ("Paint", paint)):
                with tabs[name_]:
                    module.build(listen)
            with tabs["Read"]:
                read.build(tabs)
        fresh(listen(samples.click, take, samples, photograph).success)
        fresh(listen(photograph.upload, take, photograph, photograph).success)
        fresh(listen(use.click, choose, [name, weights, upload], network).success)
        page.unload(leave)
    return page


def parse():
    """Parse and check the arguments."""
    parser = OneLineParser(description=__doc__)
    parser.add_argument("--host", default=LOOPBACK[0], help="to listen at (%(default)s: for this machine alone)")
    parser.add_argument("--port", type=int, help="(the first free one from 7860 on)")
    parser.add_argument("--password", help="that visitors must give; needed for any other --host")
    args = parser.parse_args()
    if args.host not in LOOPBACK and not args.password:
        raise InputError(f"--host {args.host} lets other machines in; add --password")
    return args


def serve(args, folder):
    """Serve the page until the process is told to end; all files lie in `folder`."""
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}

    def admit(_, password):
        return secrets.compare_digest(password.encode(), args.password.encode())

    page = build().queue(api_open=False)
    _, address, _ = page.launch(
        server_name=args.host,
        server_port=args.port,
        auth=admit if args.password else None,
        auth_message="Any name, and the password of whoever started the page.",
        max_file_size=MAX_WEIGHTS,
        css=STYLE,
        quiet=True,
        prevent_thread_lock=True,
        footer_links=[],
        **dict.fromkeys(OFF, False),
    )
    print(f"page.py: open {address} in a browser; Ctrl-C ends it", flush=True)  # noqa: T201
    if args.host not in LOOPBACK:
        print("page.py: other machines are let in; the password travels unencrypted", flush=True)  # noqa: T201
    try:
        threading.Event().wait()
    finally:
        for visit in visits.values():
            visit.cancel()
        page.close(verbose=False)


def main():
    """Serve the page until Ctrl-C."""
    args = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="page-") as folder:
        serve(args, folder)


if __name__ == "__main__":
    run(main)
