"""The grader's side of running a submission: start the warden, hand it tasks, read the answers without trust."""

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from course.autograder import wire
from image_utils.errors import InputError

MIB = 2**20
LIMITS = {  # of one task: the submission's process and all it starts
    "cpu": 30,  # seconds of processor time, of each process
    "wall": 120,  # seconds
    "memory": 1024 * MIB,  # of each process, beyond what Python and the packages take
    "file": 16 * MIB,  # any one file
}
WARDEN = Path(__file__).with_name("warden.py")
FOLDERS = ("visualization", "styles_images")  # the course's skeleton ships them, and its scripts write into them


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
        answers: dict of arrays and plain values, not to be trusted; empty if there was no readable answer.
        problem: what went wrong, for the student, or "".
        log: what the submission printed.
        peak: bytes of resident memory.
    """

    answers: dict
    problem: str = ""
    log: str = ""
    peak: int = 0


class Sandbox:
    """Runs calls of submissions in confined processes; a context manager.

    Attributes:
        limits: see LIMITS.
        confined: how processes are confined, see `confine.prepare`.
        description: the same in words.
    """

    def __init__(self, **limits):
        """Start the warden; `limits` take the place of those in LIMITS."""
        if not sys.platform.startswith("linux"):
            raise InputError("marking confines submissions by means of Linux; elsewhere run it in a container")
        self.limits = LIMITS | limits
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-I", str(WARDEN)]
        self._warden = subprocess.Popen(command, env=_environment(), start_new_session=True, cwd="/", **pipes)
        self._folder = Path(tempfile.mkdtemp(prefix="graded-"))
        self._folder.chmod(0o711)  # a submission passes through, and cannot look around
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
        """Stop the warden; remove all folders."""
        with contextlib.suppress(OSError):
            self._warden.stdin.close()
        try:
            self._warden.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._warden.kill()
            self._warden.wait()
        self._warden.stdout.close()
        self._warden.stderr.close()
        remove(self._folder)

    def is_alive(self):
        """Say whether the process that runs submissions is still there."""
        return self._warden.poll() is None

    def new_folder(self, name):
        """Make a folder that the submission may read; the grader fills it."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder))
        folder.chmod(0o755)
        return folder

    def run(self, call, inputs, code, **limits):
        """Run one call of a submission in a process of its own.

        Args:
            call: name of a function in `calls`.
            inputs: dict of arrays and plain values for it.
            code: folder of the submission, see `new_folder`.
            limits: take the place of the sandbox's own.

        Returns:
            Outcome.

        Raises:
            InputError: the process that runs submissions is gone.
        """
        limits, uid = self.limits | limits, self.confined["uid"]
        cwd = Path(tempfile.mkdtemp(prefix="work-", dir=self._folder))
        for folder in (cwd, *(cwd / name for name in FOLDERS)):
            folder.mkdir(exist_ok=True)
            if uid is not None:
                os.chown(folder, uid, uid)
        with contextlib.suppress(AttributeError):  # a C library other than glibc
            ctypes.CDLL(None).malloc_trim(0)  # gives back what references took: a small container holds both
        try:
            task = limits | {"call": call, "inputs": inputs, "code": str(code), "cwd": str(cwd)}
            wire.send(self._warden.stdin, task)
            return self._outcome(self._reply())
        except OSError:
            raise InputError(f"the process that runs submissions stopped: {self._last_words()}") from None
        finally:
            remove(cwd)

    def _outcome(self, ended):
        log = ended["log"].tobytes().decode("utf-8", "replace")
        answers, problem = {}, "took too long: a loop without an end?" if ended["late"] else ""
        if not problem:
            try:
                answers = wire.unpack(ended["answer"].tobytes())
            except ValueError as damage:
                problem = f"the process ended early (status {ended['status']}): {damage}"
        if "error" in answers:
            answers, problem = {}, explain_error(answers["error"])
        return Outcome(answers, problem, log, ended["peak"])

    def _reply(self):
        reply = wire.receive(self._warden.stdout)
        if reply is None:
            raise InputError(f"the process that runs submissions stopped: {self._last_words()}")
        return reply

    def _last_words(self):
        self._warden.kill()
        lines = self._warden.stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no reason given"


def remove(folder):
    """Remove a folder that a submission wrote into, whatever it is filled with; links are not followed."""
    # shutil.rmtree gives up where folders lie a thousand deep. Whoever filled it with a million is not waited for.
    script = 'rm -rf -- "$1" 2>&- || { chmod -R u+rwx -- "$1"; rm -rf -- "$1"; } 2>&-'
    removing = subprocess.Popen(["sh", "-c", script, "sh", str(folder)], start_new_session=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        removing.wait(timeout=5)


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
