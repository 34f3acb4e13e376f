"""The grader's side of running a submission: start the warden, hand it tasks, read the answers without trust."""

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from course.autograder import confine, wire
from image_utils.errors import InputError

MIB = 2**20
LIMITS = {
    "memory": 768 * MIB,  # resident, of the submission's process and all it starts
    "file": 16 * MIB,  # any one file
    "processes": 32,
}
MAX_ANSWER = 16 * MIB
MAX_LOG = 20_000  # bytes kept of what a submission prints
WARDEN = Path(__file__).with_name("warden.py")
READY_SECONDS = 300  # half a core imports PyTorch slowly


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
        answers: dict of arrays and plain values, not to be trusted; empty if there was no readable answer.
        problem: what went wrong, for the student, or "".
        log: what the submission printed.
        seconds: wall time.
        peak: bytes of resident memory.
    """

    answers: dict
    problem: str
    log: str
    seconds: float
    peak: int


class Sandbox:
    """Runs calls of submissions in confined processes; a context manager.

    Attributes:
        confined: the plan by which processes are confined, see `confine.plan`.
        description: the same in words.
    """

    def __init__(self, *, warm=True, memory=LIMITS["memory"]):
        if not sys.platform.startswith("linux"):
            raise InputError(
                "marking confines submissions by means of Linux; on another system run it in a container"
            )
        self.limits = LIMITS | {"memory": memory}
        # Whatever else runs as this user, a submission above all, shall not read this process's memory.
        ctypes.CDLL(None).prctl(confine.PR_SET_DUMPABLE, 0, 0, 0, 0)
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-I", str(WARDEN), str(theirs.fileno()), *(["--warm"] if warm else [])]
        with theirs:
            self._warden = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=_environment(),
                start_new_session=True,
                cwd="/",
            )
        self._control = ours
        self._folder = Path(tempfile.mkdtemp(prefix="graded-"))
        self._folder.chmod(0o711)  # a submission passes through, and cannot look around
        ours.settimeout(READY_SECONDS)
        try:
            ready = self._reply()
        except InputError:
            self.close()
            raise
        self.confined, self.description = ready["confined"], ready["description"]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Stop the warden, and with it everything that it started; remove all folders."""
        self._control.close()
        try:
            self._warden.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._warden.kill()
            self._warden.wait()
        self._warden.stderr.close()
        remove(self._folder)

    def new_folder(self, name):
        """Make a folder that the submission may read; the grader fills it."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder))
        folder.chmod(0o755)
        return folder

    def run(self, call, inputs, code, *, wall=60.0):
        """Run one call of a submission in a process of its own.

        Args:
            call: name of a function in `calls`.
            inputs: dict of arrays and plain values for it.
            code: folder of the submission, see `new_folder`.
            wall: seconds it may take.

        Returns:
            Outcome.
        """
        cwd = Path(tempfile.mkdtemp(prefix="work-", dir=self._folder))
        if self.confined["uid"] is not None:
            os.chown(cwd, self.confined["uid"], self.confined["uid"])
        task = self.limits | {"call": call, "code": str(code), "cwd": str(cwd), "wall": wall, "cpu": int(wall) + 2}
        with (
            tempfile.TemporaryFile() as source,
            tempfile.TemporaryFile() as answer,
            tempfile.TemporaryFile() as log,
        ):
            source.write(wire.pack(inputs))
            source.flush()
            files = [file.fileno() for file in (source, answer, log)]
            with contextlib.suppress(AttributeError):  # a C library other than glibc
                # Gives back what computing references took: both processes shall fit into 768 MB together.
                ctypes.CDLL(None).malloc_trim(0)
            try:
                socket.send_fds(self._control, [json.dumps(task).encode() + b"\n"], files)
                self._control.settimeout(wall + 60)
                ended = self._reply()
            finally:
                remove(cwd)
            # Everybody who could write to these files is dead by now.
            data = os.pread(answer.fileno(), MAX_ANSWER + 1, 0)
            text = os.pread(log.fileno(), MAX_LOG + 1, 0)
        return self._outcome(ended, data, text, wall)

    def _outcome(self, ended, data, text, wall):
        shown = text[:MAX_LOG].decode("utf-8", "replace") + ("\n[cut off]" if len(text) > MAX_LOG else "")
        answers, problem = {}, ""
        reasons = {
            "time": f"took more than {wall:.0f} s: a loop without an end?",
            "memory": f"used more than {self.limits['memory'] // MIB} MB of memory",
            "processes": f"started more than {self.limits['processes']} processes",
            "setup": f"the grader could not confine the process; nothing was run. {shown.strip()[-300:]}",
        }
        if ended["reason"]:
            problem = reasons[ended["reason"]]
        else:
            try:
                answers = wire.unpack(data) if len(data) <= MAX_ANSWER else {}
            except ValueError as damage:
                problem = f"the process ended early (status {ended['status']}): {damage}"
            if len(data) > MAX_ANSWER:
                problem = f"returned more than {MAX_ANSWER // MIB} MB"
            if "error" in answers:
                answers, problem = {}, explain_error(answers["error"])
        return Outcome(answers, problem, shown, float(ended["seconds"]), int(ended["peak"]))

    def _reply(self):
        """Read one line from the warden."""
        line = b""
        with contextlib.suppress(OSError):
            while not line.endswith(b"\n") and (part := self._control.recv(1 << 16)):
                line += part
        if not line.endswith(b"\n"):
            self._warden.kill()
            reason = self._warden.stderr.read().decode(errors="replace").strip().splitlines()[-1:]
            raise InputError(f"the process that runs submissions stopped: {' '.join(reason) or 'no reason given'}")
        return json.loads(line)


def remove(folder):
    """Remove a folder that a submission wrote into, whatever it is filled with; links are not followed."""
    # shutil.rmtree gives up where folders lie a thousand deep.
    subprocess.run(["rm", "-rf", "--", str(folder)], stderr=subprocess.DEVNULL)


def explain_error(error):
    """Put a child's report of an exception into a sentence. It comes from the submission's process."""
    if not isinstance(error, list) or len(error) != 4 or not all(isinstance(part, str | int) for part in error):
        return "it failed without a readable reason"
    kind, message, file, line = (str(part)[:500] for part in error)
    where = f" ({file}:{line})" if file else ""
    if kind == "NotImplementedError":
        return f"not written yet{where}"
    return " ".join(f"{kind}: {message}{where}".split())


def _environment():
    """Give the warden what Python and matplotlib need, and nothing that a submission should not see."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    kept = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return kept | threads | {"MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(Path(cache) / "matplotlib"))}
