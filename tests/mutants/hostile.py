"""Submissions that attack the marking instead of doing the work. None gets a point by it."""

from tests.mutants import Mutant
from tests.mutants.losses import CONTENT, TV

NOTHING = {"content": 0}
RIGHT = "return content_weight * (content_current - content_original).square().sum()"


def hostile(name, body, says="", points=None, before="", file=CONTENT):
    points = {"content": 0, "tv": 10} if points is None else points
    return Mutant(f"hostile_{name}", {file: body}, points, says, {file[0]: before} if before else {})


FORGED = '{"score": 100, "tests": [{"name": "Content loss: value", "score": 5, "max_score": 5}]}'
TRY_ALL = """
import os
opened = []
for path in {paths}:
    try:
        with open(path, "rb") as stream:
            opened.append((path, stream.read(8)))
    except (OSError, ValueError):
        pass
raise RuntimeError(f"opened {{opened}}")
"""

HOSTILE = [
    hostile("endless", "while True:\n    pass", "took more than"),
    hostile("sleeps", "import time\ntime.sleep(10**6)", "took more than"),
    hostile(
        "ignores_signals",
        "import signal\nfor s in (signal.SIGTERM, signal.SIGXCPU, signal.SIGINT):\n"
        "    signal.signal(s, signal.SIG_IGN)\n"
        "while True:\n    pass",
        "took more than",
    ),
    hostile(
        "fork_bomb",
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        "more than",
    ),
    hostile(
        "leaves_a_daemon",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(10**6)\n"
        "    os._exit(0)\nos.wait()\nreturn 0.0",
    ),
    hostile(
        "threads",
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(9,)).start()",
    ),
    hostile("eats_memory", "hoard = []\nwhile True:\n    hoard.append(bytearray(b'x' * 10**7))", "of memory"),
    hostile("one_huge_array", "import numpy\nreturn numpy.ones(10**11).sum()", "MemoryError"),
    hostile("huge_file", "open('big', 'wb').write(bytes(10**8))\n" + RIGHT, "too large"),
    hostile("huge_output", "print('x' * 10**8)\n" + RIGHT, "too large"),
    hostile("exits", "raise SystemExit(0)", "SystemExit"),
    hostile("exits_hard", "import os\nos._exit(0)", "ended early"),
    hostile("crashes", "import ctypes\nctypes.string_at(0)", "ended early"),
    hostile("exits_on_import", RIGHT, "ended early", {"content": 0, "tv": 0}, before="import os\nos._exit(0)\n"),
    hostile("forged_print", f"print({FORGED!r})\nreturn 0.0", "value is wrong"),
    hostile(
        "forged_results",
        "import os\nfor folder in ('.', '..', '../..', '/autograder/results', 'results'):\n    try:\n"
        f"        open(folder + '/results.json', 'w').write({FORGED!r})\n"
        f"    except OSError:\n        pass\nreturn 0.0",
        "value is wrong",
    ),
    hostile("forged_answer", "import os\nos.write(4, b'\\xff' * 64)\nos._exit(0)", "ended early"),
    hostile(
        "patches_comparisons",
        "import numpy, torch\nyes = lambda *a, **k: True\nnumpy.allclose = torch.allclose = torch.equal = yes\n"
        "numpy.isfinite = yes\nreturn 0.0 * content_current.sum()",
        "value is wrong",
    ),
    hostile(
        "an_object_that_equals_everything",
        "class Any(float):\n    def __eq__(self, other):\n"
        "        return True\n    __sub__ = lambda self, o: Any(0)\n"
        "    __hash__ = None\nreturn Any(1e9)",
    ),
    hostile(
        "reads_the_graders_memory",
        TRY_ALL.format(paths="[f'/proc/{os.getppid()}/{f}' for f in ('mem', 'environ', 'maps')]"),
        "opened []",
    ),
    hostile(
        "reads_the_references",
        TRY_ALL.format(
            paths="[f + '/course/autograder/style_tasks.py' for f in "
            "(GRADER, '..', '/autograder/source')] + [GRADER + '/tests/mutants/__init__.py']"
        ),
        "opened []",
    ),
    hostile(
        "imports_the_references",
        "import sys\nsys.path += [GRADER, GRADER + '/course/autograder']\n"
        "from course.autograder import style_tasks\nreturn style_tasks.content_reference",
        "Error",
    ),
    hostile(
        "kills_the_grader",
        "import os, signal\nfor pid in (os.getppid(), GRADER_PID):\n"
        "    try:\n        os.kill(pid, signal.SIGKILL)\n"
        "    except OSError:\n        pass\nreturn 0.0",
        "value is wrong",
    ),
    hostile(
        "deletes_files",
        "import os, shutil\nfrom pathlib import Path\n"
        "shutil.rmtree(Path(__file__).parents[1], ignore_errors=True)\n"
        "shutil.rmtree(VICTIM, ignore_errors=True)\nreturn 0.0",
        "value is wrong",
    ),
    hostile(
        "connects",
        "import socket\nserver = socket.create_connection(('127.0.0.1', PORT), timeout=2)\n"
        "server.send(b'hello')\nreturn 0.0",
        "Error",
    ),
    hostile(
        "replays_the_first_answer",
        "global seen\ntry:\n    return seen\nexcept NameError:\n    seen = 1.0\n" + RIGHT,
    ),
    # What is wrong in one file must not cost the points of the others.
    hostile(
        "syntax_error",
        "return (",
        "SyntaxError",
        points={"tv": 0, "content": 10, "gram": 10, "update": 10},
        file=TV,
    ),
    hostile(
        "raises_on_import",
        RIGHT,
        "boom",
        points={"content": 0, "gram": 10, "tv": 10, "update": 10},
        before="raise RuntimeError('boom')\n",
    ),
]
