"""A page that shows what a network sees: drop a photograph, and explain, fool, dream or paint.

Everything is computed here; nothing is sent anywhere. The address is printed; open it in a browser.
"""

import before_imports  # noqa: F401  (it must come first)

import os
import secrets
import signal
import tempfile
import threading

from command_line import OneLineParser, run
from image_utils.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OFF = ("share", "run_history", "enable_monitoring", "mcp_server", "ssr_mode", "pwa")  # Gradio's


def main():
    """Serve the page until Ctrl-C."""
    parser = OneLineParser(description=__doc__)
    parser.add_argument("--host", default=LOOPBACK[0], help="to listen at (%(default)s: for this machine alone)")
    parser.add_argument("--port", type=int, help="(the first free one from 7860 on)")
    parser.add_argument("--password", help="that visitors must give; needed for any other --host")
    args = parser.parse_args()
    if args.host not in LOOPBACK and not args.password:
        raise InputError(f"--host {args.host} lets other machines in; add --password")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="page-") as tempfile.tempdir:  # all files, Gradio's too, go with it
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        serve(args)


def serve(args):
    """Serve the page until the process is told to end."""
    from tabs import layout, visit  # here, since Gradio takes seconds to import

    def admit(_, password):
        return secrets.compare_digest(password.encode(), args.password.encode())

    page = layout.build().queue(api_open=False)
    _, address, _ = page.launch(
        server_name=args.host,
        server_port=args.port,
        auth=admit if args.password else None,
        auth_message="Any name, and the password of whoever started the page.",
        max_file_size=visit.MAX_WEIGHTS,
        css=layout.STYLE,
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
        for one in visit.visits.values():
            one.cancel()
        page.close(verbose=False)


if __name__ == "__main__":
    run(main)
