"""A page that shows what a network sees: drop a photograph, and explain, fool, dream or paint.

Everything is computed here; nothing is sent anywhere. The address is printed; open it in a browser.
"""

import os
import secrets
import signal
import tempfile
import threading

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio is imported: it would ask after new versions
FOLDER = tempfile.TemporaryDirectory(prefix="page-")  # of everything written here; gone when the process ends
os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = FOLDER.name

import gradio as gr  # noqa: E402

from command_line import assignment_parser, run  # noqa: E402
from data.samples import package_folder  # noqa: E402
from image_utils.errors import InputError  # noqa: E402
from tabs import dream, explain, fool, network, paint, read  # noqa: E402
from tabs.visit import QUICK, answered, drop_area, leave  # noqa: E402

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OLD = (60, 1800)  # seconds: how often files shown are looked through, and after how long they are removed
MAX_UPLOAD = "600mb"  # the weights of a VGG; photographs have a limit of their own
STYLE = """
.status { min-height: 2.2em } footer { display: none !important }
.grid-wrap { min-height: 0 !important; max-height: none !important }
.large img { width: 100%; height: 100%; object-fit: contain !important }
#samples .grid-wrap { grid-template-columns: repeat(5, 1fr) !important }
"""
TABS = {"Explain": explain, "Fool": fool, "Dream": dream, "Paint": paint}


def sample(visit, file):
    """Take one of the samples."""
    visit.show(file)
    return visit.pixels


def upload(visit, file):
    """Take an uploaded photograph."""
    return sample(visit, visit.keep(file)) if file else visit.pixels


def build():
    """Lay out the page. Returns gr.Blocks."""
    samples = sorted(map(str, package_folder("foolbox").glob("data/imagenet_*_*.jpg")))
    with gr.Blocks(title="What the network sees", analytics_enabled=False, delete_cache=OLD) as page, gr.Row():
        with gr.Column(scale=1, min_width=300):
            photograph = drop_area("Photograph", height=280, format="png", elem_id="photograph")
            offered = gr.Gallery(
                samples,
                label="Samples",
                columns=5,
                height=180,
                allow_preview=False,
                object_fit="cover",
                interactive=False,
                buttons=[],
                elem_id="samples",
            )
            chosen = network.build()
        with gr.Column(scale=3, min_width=320), gr.Tabs():
            tabs = {name: gr.Tab(name) for name in (*TABS, "Read")}
            for name, module in TABS.items():
                with tabs[name]:
                    fresh = module.build() or fresh
            with tabs["Read"]:
                read.build(tabs)

        def pick(request: gr.Request, event: gr.SelectData):
            return answered(sample)(request, samples[event.index])

        fresh(chosen)
        fresh(offered.select(pick, None, photograph, **QUICK))
        arrived = photograph.upload(answered(upload), photograph, photograph, **QUICK)
        fresh(arrived)
        page.unload(leave)
    return page


def parse():
    """Parse and check the arguments."""
    parser = assignment_parser(__doc__, images=False, seed=False)
    group = parser.add_argument_group("address")
    group.add_argument("--host", default=LOOPBACK[0], help="to listen at (%(default)s: this machine alone)")
    group.add_argument("--port", type=int, help="(the first free one from 7860 on)")
    group.add_argument("--password", help="that visitors must give; needed for any other --host")
    args = parser.parse_args()
    if args.host not in LOOPBACK and not args.password:
        raise InputError(f"--host {args.host} lets other machines in; add --password")
    return args


def main():
    """Serve the page until Ctrl-C."""
    args = parse()
    page = build().queue(api_open=False)

    def admit(_, password):
        return secrets.compare_digest(password.encode(), args.password.encode())

    _, address, _ = page.launch(
        server_name=args.host,
        server_port=args.port,
        auth=admit if args.password else None,
        auth_message="Any name, and the password of whoever started the page.",
        max_file_size=MAX_UPLOAD,
        css=STYLE,
        quiet=True,
        share=False,
        prevent_thread_lock=True,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
    )
    print(f"page.py: open {address} in a browser; Ctrl-C ends it", flush=True)  # noqa: T201
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        threading.Event().wait()
    finally:
        page.close(verbose=False)


if __name__ == "__main__":
    run(main)
