"""The grader's side of running a submission: start the warden, hand it tasks, read the answers without trust."""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from course.autograder import wire
from image_utils.errors import InputError
from image_utils.memory import trim_memory

MIB = 2**20
LIMITS = {  # of one task: the submission's process and all it starts
    "cpu": 60,  # seconds of processor time, of each process
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

    limits = LIMITS

    def __init__(self):
        """Start the warden."""
        if not sys.platform.startswith("linux"):
            raise InputError("marking confines submissions by means of Linux; elsewhere run it in a container")
        self._pipe, theirs = multiprocessing.Pipe()
        with theirs:
            self._warden = subprocess.Popen(
                [sys.executable, "-I", str(WARDEN), str(theirs.fileno())],
                env=_environment(), cwd="/", start_new_session=True, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
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
        self._pipe.close()
        try:
            self._warden.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._warden.kill()
            self._warden.wait()
        self._warden.stderr.close()
        remove(self._folder)

    def is_alive(self):
        """Say whether the process that runs submissions is still there."""
        return self._warden.poll() is None

    def new_folder(self):
        """Make a folder that the submission may read; the grader fills it."""
        folder = Path(tempfile.mkdtemp(prefix="submission-", dir=self._folder))
        folder.chmod(0o755)
        return folder

    def run(self, call, inputs, code, left):
        """Run one call of a submission in a process of its own.

        Args:
            call: name of a function in `calls`.
            inputs: dict of arrays and plain values for it.
            code: folder of the submission, see `new_folder`.
            left: seconds that it may take, if its limit is not lower.

        Raises:
            InputError: the process that runs submissions is gone.
        """
        uid, cwd = self.confined["uid"], Path(tempfile.mkdtemp(prefix="work-", dir=self._folder))
        for folder in (cwd, *(cwd / name for name in FOLDERS)):
            folder.mkdir(exist_ok=True)
            if uid is not None:
                os.chown(folder, uid, uid)
        trim_memory()  # of what references took: a small container holds both
        limits = self.limits | {"wall": min(self.limits["wall"], left)}
        try:
            ended = self._reply(limits | {"call": call, "inputs": inputs, "code": str(code), "cwd": str(cwd)})
        finally:
            remove(cwd)
        answers, problem = {}, "took too long: a loop without an end?" if ended["late"] else ""
        if not problem:
            try:
                answers = wire.unpack(ended["answer"].tobytes())
            except ValueError as damage:
                problem = f"the process ended early (status {ended['status']}): {damage}"
        if "error" in answers:
            answers, problem = {}, str(answers["error"])
        return Outcome(answers, problem, ended["log"].tobytes().decode("utf-8", "replace"), ended["peak"])

    def _reply(self, task=None):
        """What the warden says, to a task or at first."""
        try:
            if task is not None:
                self._pipe.send_bytes(wire.pack(task))
            return wire.unpack(self._pipe.recv_bytes())
        except (OSError, EOFError):
            self._warden.kill()
            said = self._warden.stderr.read().decode(errors="replace").strip() or "no reason given"
            raise InputError(f"the process that runs submissions stopped: {said.splitlines()[-1]}") from None


def remove(folder):
    """Remove a folder that a submission wrote into, whatever it is filled with; links are not followed."""
    # shutil.rmtree gives up where folders lie a thousand deep. Whoever filled it with a million is not waited for.
    script = 'rm -rf -- "$1" 2>&- || { chmod -R u+rwx -- "$1"; rm -rf -- "$1"; } 2>&-'
    removing = subprocess.Popen(["sh", "-c", script, "sh", str(folder)], start_new_session=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        removing.wait(timeout=5)


def _environment():
    """Give the warden what Python and matplotlib need, and nothing that a submission should not see."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    kept = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return kept | threads | {"MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(Path(cache) / "matplotlib"))}
