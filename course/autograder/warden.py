"""The process that runs submissions: it imports the slow packages once, and forks a confined child for each task.

Started by `sandbox.Sandbox` as a script of its own, and told by standard input what to run. How a task ended and
how much it used is known from here and not from the submission. Expected values never come here.
"""

import contextlib
import gc
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # a few modules, without the rest of the project
import calls  # noqa: E402
import confine  # noqa: E402
import wire  # noqa: E402

del sys.path[0]  # a child must not even look there

POLL, WATCH = 0.01, 0.05  # seconds between looks at the child, and at what its family uses
PAGE = os.sysconf("SC_PAGE_SIZE")
MAX_ANSWER, MAX_LOG = 16 * 2**20, 20_000  # bytes


def main():
    """Warm up, tell how children are confined, then run tasks until the grader hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's; it hangs up, and that ends this process
    confine.prctl(confine.PR_SET_DUMPABLE, 0)  # no other process of the same user may read this one
    confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)  # a child's orphans come here, and can be found and killed
    how = confine.plan()
    Path(f"/proc/self/task/{os.getpid()}/children").read_bytes()  # without it nobody's family could be found
    calls.warm_up()
    gc.freeze()
    wire.send(sys.stdout.buffer, {"confined": how, "description": confine.describe(how)})
    while task := wire.receive(sys.stdin.buffer):
        wire.send(sys.stdout.buffer, run(task, how))


def run(task, how):
    """Run one task in a child.

    Args:
        task: dict with call, inputs, code and cwd (folders), wall, cpu, memory, file, processes (limits).
        how: see `confine.plan`.

    Returns:
        dict: reason ("", "time", "memory", "processes", "setup"), status (exit status, or minus the signal), peak
        (bytes of resident memory), answer and log (uint8 ndarrays).
    """
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as log:
        confined, ready = os.pipe()
        child = os.fork()
        if child == 0:
            _be_the_child(task, how, answer.fileno(), log.fileno(), ready)
        os.close(ready)
        reason, status, peak = _watch(child, task)
        if not reason and os.read(confined, 1) != b"1":
            reason = "setup"
        os.close(confined)
        # Everybody who could write to these files is dead by now.
        read = {"answer": os.pread(answer.fileno(), MAX_ANSWER + 1, 0), "log": os.pread(log.fileno(), MAX_LOG, 0)}
    as_array = {key: calls.np.frombuffer(data, calls.np.uint8) for key, data in read.items()}
    return {"reason": reason, "status": status, "peak": peak, **as_array}


def _watch(child, task):
    """Wait until the child ends or uses too much; leave nobody of its family alive."""
    until, reason, peak, looked = time.monotonic() + task["wall"], "", 0, 0.0
    grader = select.poll()
    grader.register(sys.stdin, 0)  # answers when the other end is closed
    while not reason:
        ended, code, used = os.wait4(child, os.WNOHANG)
        if ended and not os.WIFSTOPPED(code):  # a child that has itself traced is reported when it stops, too
            status = os.waitstatus_to_exitcode(code)
            out_of_time = status < 0 and used.ru_utime + used.ru_stime > task["cpu"] - 1
            _kill_family()
            return "time" if out_of_time else "", status, peak
        now = time.monotonic()
        if now - looked >= WATCH:
            looked, family = now, _family()
            memory = sum(_resident(pid) for pid in family)
            peak = max(peak, memory)
            reason = (
                "memory" if memory > task["memory"] else "processes" if len(family) > task["processes"] else ""
            )
        reason = reason or ("time" if now > until or grader.poll(0) else "")
        time.sleep(POLL)
    _kill_family()
    return reason, -signal.SIGKILL, peak


def _be_the_child(task, how, answer, log, ready):
    """In the child: let go of everything, then run the call. Never returns."""
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for old, new in zip([os.dup2(file, 100 + i) for i, file in enumerate((nothing, log, log, answer, ready))],
                            (0, 1, 2, 3, 4), strict=True):  # fmt: skip
            os.dup2(old, new, inheritable=new < 3)
        os.closerange(5, os.sysconf("SC_OPEN_MAX"))
        home = task["cwd"]
        os.chdir(home)
        confine.confine(how, task, [task["code"]], [home])
        confine.prctl(confine.PR_SET_DUMPABLE, 1)
        os.environ.clear()
        os.environ |= dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR"), home)
        os.environ |= {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        tempfile.tempdir, sys.argv[:] = None, [""]
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.write(4, b"1")
        os.close(4)
        calls.serve(task["call"], task["inputs"], Path(task["code"]), 3)
    except BaseException:  # noqa: BLE001  (whatever happens, the child must not return into the warden's loop)
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(0)


def _family():
    """Return the ids of all descendants of this process, wherever they moved."""
    found, queue = [], [os.getpid()]
    while queue:
        for listed in Path(f"/proc/{queue.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                below = [int(pid) for pid in listed.read_text().split()]
                found += below
                queue += below
    return found


def _resident(pid):
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0


def _kill_family():
    """Kill all descendants; stopped first, so that nothing can fork away from the killing."""
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
