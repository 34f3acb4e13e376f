"""The process that runs submissions: it imports the slow packages once, and forks a confined child for each task.

Started by `sandbox.Sandbox` as a script of its own. It talks to the grader over a Unix socket: a task is a line
of JSON with three open files (input, answer, log), the reply a line of JSON on how it ended. The child
gets none of the grader's other files and not this socket, so how a task ended, how long it took and how much
memory it used is known from here and not from the submission. Expected values never come here.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
COLLECT = HERE.parent / "collect"
sys.path[:0] = [str(HERE), str(COLLECT)]  # these few modules, without importing anything else of the project
import calls  # noqa: E402
import confine  # noqa: E402

del sys.path[:2]  # a child shall not even look there

POLL = 0.01  # seconds between looks at the child
WATCH = 0.05  # seconds between looks at its memory
PAGE = os.sysconf("SC_PAGE_SIZE")


def main():
    """Warm up, tell how children are confined, then run tasks until the grader hangs up."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's; it hangs up, and that ends this process
    confine.prctl(confine.PR_SET_DUMPABLE, 0)  # no other process of the same user may read this one
    confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)  # a child's orphans come here, and can be found and killed
    how = confine.plan()
    if "--warm" in sys.argv:
        calls.warm_up()
        gc.freeze()
    control.sendall(json.dumps({"confined": how, "description": confine.describe(how)}).encode() + b"\n")
    while True:
        message, files, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not message:
            return
        while not message.endswith(b"\n"):
            message += control.recv(1 << 20)
        reply = run(json.loads(message), files, how, control)
        control.sendall(json.dumps(reply).encode() + b"\n")


def run(task, files, how, control):
    """Run one task in a child.

    Args:
        task: dict with call, code and cwd (folders), wall, cpu, memory, file, processes (limits).
        files: descriptors of input, answer and log.
        how: see `confine.plan`.
        control: socket to close in the child.

    Returns:
        dict: reason ("", "time", "memory", "processes", "setup"), status (exit status, or minus the signal),
        seconds, peak (bytes).
    """
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_child(task, files, how, control)
    for file in files:
        os.close(file)
    reason, status, peak, looked = "", None, 0, 0.0
    while status is None:
        now = time.monotonic()
        if now - looked >= WATCH:
            looked = now
            family = _family()
            memory = sum(_resident(pid) for pid in family)
            peak = max(peak, memory)
            if memory > task["memory"]:
                reason = "memory"
            elif len(family) > task["processes"]:
                reason = "processes"
        if now - started > task["wall"]:
            reason = "time"
        if reason:
            _kill(child)
        ended, code = os.waitpid(child, 0 if reason else os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(code)
        else:
            time.sleep(POLL)
    _kill_family()
    if status == SETUP_FAILED:
        reason = "setup"
    elif status == -signal.SIGXCPU:
        reason = "time"
    return {"reason": reason, "status": status, "seconds": time.monotonic() - started, "peak": peak}


SETUP_FAILED = 97


def _be_the_child(task, files, how, control):
    """In the child: let go of everything, then run the call. Never returns."""
    status = SETUP_FAILED
    try:
        os.setsid()
        control.close()
        _redirect(*files)
        os.chdir(task["cwd"])
        confine.confine(how, task, [task["code"]], [task["cwd"]])
        confine.prctl(confine.PR_SET_DUMPABLE, 1)
        os.environ.clear()
        home = task["cwd"]
        os.environ |= {
            "HOME": home,
            "TMPDIR": home,
            "MPLCONFIGDIR": home,
            "LANG": "C.UTF-8",
            "PATH": "/usr/bin:/bin",
        }
        sys.argv[:] = [""]
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        calls.serve(task["call"], Path(task["code"]), 3, 4)
        status = 0
    except BaseException:  # noqa: BLE001  (whatever happens, the child must not return into the warden's loop)
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(status)


def _redirect(source, answer, log):
    """Keep the input as file 3, the answer as 4, output and errors in the log, and close all else."""
    spare = [os.dup2(file, 100 + i, inheritable=False) for i, file in enumerate((source, answer, log))]
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (spare[2], 1), (spare[2], 2), (spare[0], 3), (spare[1], 4)):
        os.dup2(old, new, inheritable=new < 3)
    os.closerange(5, os.sysconf("SC_OPEN_MAX"))


def _family():
    """Return the ids of all descendants of this process, wherever they moved."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                text = (entry / "stat").read_text(errors="replace")
                parent = int(text.rpartition(")")[2].split()[1])  # a name may hold spaces and brackets
                children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _resident(pid):
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0


def _kill(child):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _kill_family():
    """Kill what the child left behind; stopped first, so that nothing can fork away from the killing."""
    while family := _family():
        for kind in (signal.SIGSTOP, signal.SIGKILL):
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, kind)
            family = _family() if kind == signal.SIGSTOP else family
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(POLL / 10)


if __name__ == "__main__":
    main()
