"""python -m explain; what it does is in explain/command.py."""

import functools
import os
import signal
import sys


def _leave(*_):
    """End at once: while modules are imported nothing has begun, and some of them swallow an exception."""
    os.write(2, b"explain: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    sys.argv[0] = "explain"  # what error messages begin with
    before = signal.signal(signal.SIGINT, _leave)
    from command_line import run
    from explain.command import main

    run(functools.partial(main, begin=lambda: signal.signal(signal.SIGINT, before)))
