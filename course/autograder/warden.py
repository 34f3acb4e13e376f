"""The process that runs submissions: it imports the slow packages once, and forks a confined child for each task.

Started by `sandbox.Sandbox` as a script of its own, and told through a pipe what to run. How a task ended and how
much it used is known from here and not from the submission. Expected values never come here.
"""

import contextlib
import gc
import importlib
import os
import signal
import sys
import tempfile
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # a few modules, without the rest of the project
import confine
import wire

FOR_SUBMISSIONS = (
    "matplotlib.pyplot", "safetensors.torch", "scipy.ndimage", "torchvision.transforms", "tqdm.auto",
    "torch._dynamo",  # which an optimizer imports, and a dispatch mode
)  # fmt: skip
MAX_ANSWER, MAX_LOG = 16 * 2**20, 20_000  # bytes


def main():
    """Warm up, tell how children are confined, then run tasks until the grader hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's; it hangs up, and that ends this process
    confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)  # a child's orphans come here, and can be found and killed
    Path(f"/proc/self/task/{os.getpid()}/children").read_bytes()  # without this file they could not be
    how = confine.prepare()  # before the packages start threads
    for name in ("calls", *FOR_SUBMISSIONS):  # a fork then starts in milliseconds
        importlib.import_module(name)
    del sys.path[0]  # a child must not even look there
    sys.modules["torch"].set_num_threads(1)
    gc.freeze()
    grader = Connection(int(sys.argv[1]))
    grader.send_bytes(wire.pack({"confined": how, "description": confine.describe(how)}))
    with contextlib.suppress(EOFError):
        while True:
            grader.send_bytes(wire.pack(run(wire.unpack(grader.recv_bytes()), how, grader)))


def run(task, how, grader):
    """Run one task in a child, and leave nobody of its family alive.

    The task names the call, its inputs, the folders code and cwd, and the limits wall, cpu, memory and file. Told
    are status (exit status, or minus the signal), late (it took too long), peak (bytes of resident memory), answer
    and log (bytes as uint8 ndarrays).
    """
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as log:
        child = os.fork()
        if child == 0:
            _be_the_child(task, how, answer.fileno(), log.fileno())
        with os.fdopen(os.pidfd_open(child)) as ending:  # the grader says nothing meanwhile, but it may hang up
            late = ending not in wait([ending, grader], task["wall"])
        code, used = _kill_all()[child]
        # Everybody who could write to these files is dead by now.
        read = {"answer": os.pread(answer.fileno(), MAX_ANSWER + 1, 0), "log": os.pread(log.fileno(), MAX_LOG, 0)}
    status = os.waitstatus_to_exitcode(code)
    late |= status < 0 and used.ru_utime + used.ru_stime > task["cpu"] - 1
    as_array = {key: wire.np.frombuffer(data, wire.np.uint8) for key, data in read.items()}
    return {"status": status, "late": late, "peak": 1024 * used.ru_maxrss, **as_array}


def _kill_all():
    """Kill all descendants, stopped first so that none can fork away; return status and usage of each child."""
    ended = {}
    while family := _family(os.getpid()):
        for kind in (signal.SIGSTOP, signal.SIGKILL):
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, kind)
            family = _family(os.getpid())
        with contextlib.suppress(ChildProcessError):
            while (found := os.wait4(-1, os.WNOHANG))[0]:
                if not os.WIFSTOPPED(found[1]):  # a child that has itself traced is reported when it stops, too
                    ended[found[0]] = found[1:]
        time.sleep(1e-3)
    return ended


def _family(pid):
    """List all descendants of a process, wherever they moved."""
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listed.read_text().split())
    return found + [below for child in found for below in _family(child)]


def _be_the_child(task, how, answer, log):
    """In the child: let go of everything, then run the call. Never returns."""
    calls = sys.modules["calls"]
    try:
        os.setsid()
        home, nothing = task["cwd"], os.open(os.devnull, os.O_RDONLY)
        for new, old in enumerate([os.dup2(file, 100 + i) for i, file in enumerate((nothing, log, log, answer))]):
            os.dup2(old, new, inheritable=new < 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        os.chdir(home)
        os.environ.clear()
        os.environ |= dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR"), home)
        os.environ |= {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        tempfile.tempdir, sys.argv[:] = None, [""]
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            confine.confine(how, task, [task["code"]], [home])
        except OSError as problem:
            calls.answer(3, {"error": f"Nothing was run: the process could not be confined: {problem}"})
        else:
            calls.serve(task["call"], task["inputs"], Path(task["code"]), 3)
    finally:  # whatever happens, the child must not return into the warden's loop
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
