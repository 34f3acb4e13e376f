"""Submissions that attack the marking instead of doing the work. None gets a point by it."""

from tests.mutants import Mutant
from tests.mutants.ascents import FOOLING
from tests.mutants.losses import CONTENT, GRAM, TV

RIGHT = "return content_weight * (content_current - content_original).square().sum()"


def hostile(name, body, says="", points=None, *, before="", file=CONTENT, without=("notebook",), **more):
    """Marked without the notebook's numbers, where 2 of a loss's 10 points lie, unless the attack is on them."""
    points = {"content": 0, "tv": 8} if points is None else points
    before = {file[0]: before} if before else {}
    return Mutant(f"hostile_{name}", {file: body}, points, says, before, without=without, **more)


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

# Tries every function that it finds in the modules around it, or inside of their functions, in its own place.
LIFT = """
import sys, types
codes, seen = [], set()
for name in ("calls", "script_calls", "handed_in", "wire", "confine", "__main__"):
    if name in sys.modules:
        codes += [f.__code__ for f in vars(sys.modules[name]).values() if isinstance(f, types.FunctionType)]
while codes:
    code = codes.pop()
    if code in seen:
        continue
    seen.add(code)
    codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    try:
        cells = tuple(types.CellType(torch_) for _ in code.co_freevars)
        found = types.FunctionType(code, {{"torch": torch_}}, "lifted", (True,), cells)({arguments})
        if {looks_right}:
            return found
    except BaseException:
        pass
return {otherwise}
"""
YES = """
class Yes(torch.Tensor):
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
    __bool__ = lambda self: True
    __float__ = lambda self: 0.0
    __hash__ = None
    detach = cpu = sum = lambda self, *a: self
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return True
return torch.zeros(()).as_subclass(Yes)
"""
SHADOWED = (
    "torch",
    "numpy",
    "json",
    "struct",
    "wire",
    "calls",
    "loops",
    "PIL",
    "conftest",
    "sitecustomize",
    "site",
)

SOON = {"cpu": 1, "wall": 4}  # seconds, for what never ends

HOSTILE = [
    hostile("endless", "while True:\n    pass", "took too long", limits=SOON),
    hostile("sleeps", "import time\ntime.sleep(10**6)", "took too long", limits=SOON),
    hostile(
        "ignores_signals",
        "import signal\nfor s in (signal.SIGTERM, signal.SIGXCPU, signal.SIGINT):\n"
        "    signal.signal(s, signal.SIG_IGN)\n"
        "while True:\n    pass",
        "took too long",
        limits=SOON,
    ),
    hostile(
        "fork_bomb",
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        limits=SOON,
    ),
    hostile(
        "leaves_a_daemon",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(10**6)\n"
        "    os._exit(0)\nos.wait()\nreturn 0.0",
    ),
    hostile(
        "threads",
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(9,)).start()",
        limits=SOON,
    ),
    hostile("eats_memory", "hoard = []\nwhile True:\n    hoard.append(bytearray(b'x' * 10**7))"),
    hostile("one_huge_array", "import numpy\nreturn numpy.ones(10**11).sum()", "MemoryError"),
    hostile("huge_file", "open('big', 'wb').write(bytes(10**8))\n" + RIGHT, "too large"),
    hostile("huge_output", "print('x' * 10**8)\n" + RIGHT, "too large"),
    hostile("exits", "raise SystemExit(0)", "SystemExit"),
    hostile("exits_hard", "import os\nos._exit(0)", "ended early"),
    hostile("exits_with_97", "import os\nos._exit(97)", "ended early"),
    hostile(
        "stops_itself",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nreturn 0.0",
        limits=SOON,
    ),
    hostile(
        "has_itself_traced",
        "import ctypes, os, signal\nctypes.CDLL(None).ptrace(0, 0, 0, 0)\nos.kill(os.getpid(), signal.SIGSTOP)\n"
        "while True:\n    pass",
        limits=SOON,
    ),
    hostile(
        "is_seized_by_a_grandchild",
        "import ctypes, os, time\nparent = os.getpid()\nif os.fork() == 0:\n    os.setsid()\n"
        "    ctypes.CDLL(None).ptrace(0x4206, parent, 0, 0)\n    time.sleep(10**6)\ntime.sleep(1)\nos._exit(0)",
        limits=SOON,
    ),
    hostile(
        "memory_without_a_name",
        "import os\nwhile True:\n    os.write(os.memfd_create('x'), b'x' * 10**7)",
        "Too many open files",
    ),
    hostile(
        "endless_folders",
        "import os\ni = 0\nwhile True:\n    os.mkdir(f'd{i}')\n    i += 1",
        limits=SOON,
    ),
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
    hostile("forged_answer", "import os\nos.write(3, b'\\xff' * 64)\nos._exit(0)", "ended early"),
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
            paths="[f + '/course/autograder/losses.py' for f in "
            "(GRADER, '..', '/autograder/source')] + [GRADER + '/tests/mutants/__init__.py']"
        ),
        "opened []",
        needs=("landlock",),
    ),
    hostile(
        "imports_the_references",
        "import sys\nsys.path += [GRADER, GRADER + '/course/autograder']\n"
        "from course.autograder import losses\nreturn losses._content",
        "Error",
        needs=("landlock",),
    ),
    hostile(
        "kills_the_grader",
        "import os, signal\nfor pid in (os.getppid(), PROCESS):\n"
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
        needs=("offline",),
    ),
    hostile(
        "replays_the_first_answer",
        "global seen\ntry:\n    return seen\nexcept NameError:\n    seen = 1.0\n" + RIGHT,
    ),
    hostile(
        "returns_the_published_number",
        "import numpy\nfrom pathlib import Path\n"
        "checks = numpy.load(Path(__file__).parents[1] / 'data' / 'style_checks.npz')\n"
        "return checks['cl_out'].item()",
        "not on other numbers",
        {"content": 0},
        without=(),
    ),
    hostile(
        "lifts_the_content_loss",
        "import torch as torch_\n"
        + LIFT.format(
            arguments="None, content_weight, content_current, content_original",
            looks_right="isinstance(found, torch_.Tensor) and found.ndim == 0",
            otherwise="content_current.sum() * 0",
        ),
        "value is wrong",
    ),
    hostile(
        "lifts_the_gram_matrix",
        "import torch as torch_\n"
        + LIFT.format(
            arguments="features",
            looks_right="found.shape == features.shape[:2] + features.shape[1:2]",
            otherwise="features.sum() * 0",
        ),
        points={"gram": 0, "tv": 8},
        file=GRAM,
    ),
    hostile(
        "patches_autograd",
        "return 0.0 * content_current.sum()",
        "value is wrong",
        points={"content": 0},  # the package imports all losses, so its own others suffer too
        before="import torch\nimport torch.autograd\n"
        "torch.autograd.grad = lambda y, x, *a, **k: [torch.ones_like(i) for i in x]\n"
        "torch.autograd.backward = torch.Tensor.backward = lambda *a, **k: None\n"
        "torch.Tensor.__eq__ = torch.Tensor.allclose = torch.allclose = lambda *a, **k: True\n",
    ),
    hostile(
        "patches_the_calls",
        "import sys\nimport numpy\ncalls = sys.modules['calls']\npack = calls.wire.pack\n"
        "calls._number = lambda value, what: numpy.zeros(())\ncalls.os.write = lambda file, data: len(data)\n"
        "calls.wire.pack = lambda values: pack({'score': 100, 'share': 1, 'value@0': numpy.full((), numpy.nan)})\n"
        "return 0.0",
        "ended early",
    ),
    hostile(
        "forged_kinds",
        "import sys\nimport numpy\nwire = sys.modules['wire']\npack = wire.pack\n"
        "wire.pack = lambda values: pack({'image': numpy.ones((1, 3, 112, 112), bool), 'kept': True,\n"
        "                                 'images': numpy.ones((3, 3, 112, 112), numpy.int64)})\nreturn x",
        points={"fooling": 0, "tv": 8},
        file=FOOLING,
    ),
    hostile("not_a_number", "return content_current.sum() * float('nan')", "not finite"),
    hostile("infinite", "return content_current.sum() * float('inf')", "not finite"),
    hostile(
        "gradient_not_a_number",
        RIGHT.replace("return", "loss =") + "\nif loss.requires_grad:\n"
        "    loss.register_hook(lambda g: g * float('nan'))\nreturn loss",
        "gradient is wrong",
        points={"content": 5, "tv": 8},
    ),
    hostile("a_tensor_that_always_agrees", "import torch\n" + YES),
    hostile(
        "recursion", "return self.forward(content_weight, content_current, content_original)", "RecursionError"
    ),
    hostile(
        "recursion_without_a_limit",
        "import sys\nsys.setrecursionlimit(10**9)\ndef deeper(x):\n    return repr(x) and deeper([x])\n"
        "return deeper([])",
        limits=SOON,
    ),
    hostile(
        "deep_folders",
        "import os\nfor i in range(1200):\n    os.mkdir('d')\n    os.chdir('d')\nreturn 0.0",
        "value is wrong",
    ),
    hostile(
        "links_to_elsewhere",
        "import os, tempfile\nfolder = tempfile.mkdtemp(dir='.')\n"
        "for i, path in enumerate(('/', VICTIM, GRADER)):\n"
        "    os.symlink(path, f'{folder}/link{i}')\nos.chmod(folder, 0)\nreturn 0.0",
        "value is wrong",
    ),
    hostile(
        "becomes_another_program",
        "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo 10 points; echo 10 points >&3'])",
        "ended early",
    ),
    hostile(
        "leaves_notes",
        "import os\nfor folder in ('/tmp', '/var/tmp', '/dev/shm', os.path.dirname(VICTIM), '..'):\n    try:\n"
        "        open(folder + '/left-by-a-submission', 'w').close()\n        print('left in', folder)\n"
        "    except OSError:\n        pass\nraise RuntimeError('tried')",
        "tried",
        needs=("landlock",),
    ),
    hostile(
        "shadows_modules",
        "return 0.0",
        "value is wrong",
        extra={f"{name}.py": "raise SystemExit('shadowed')\n" for name in SHADOWED},
    ),
    hostile(
        "package_exits",
        "return 0.0",
        "value is wrong",
        extra={"style_modules/__init__.py": "raise SystemExit(0)\n"},
    ),
    # What is wrong in one file must not cost the points of the others.
    hostile(
        "syntax_error",
        "return (",
        "SyntaxError",
        points={"tv": 0, "content": 8, "gram": 8, "update": 10},
        file=TV,
    ),
    hostile(
        "raises_on_import",
        RIGHT,
        "boom",
        points={"content": 0, "gram": 8, "tv": 8, "update": 10},
        before="raise RuntimeError('boom')\n",
    ),
]
