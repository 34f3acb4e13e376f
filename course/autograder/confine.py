"""What a process gives up before it runs a submission. Linux; standard library only.

Limits on what it may use; every privilege, and as root also the user; the network, where the kernel hands out an
empty one; with Landlock (Linux 5.13) the sight of all files but those it needs, TCP (6.7) and signals to others
(6.12). Where the kernel lacks something, the rest holds. None of it can be taken back.
"""

import contextlib
import ctypes
import os
import resource
import stat
import sys
import sysconfig
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
NOBODY = 65534
PR_SET_KEEPCAPS, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 8, 36, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
CAP_DAC_READ_SEARCH, CAPABILITY_VERSION_3 = 1 << 2, 0x20080522
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same numbers on all architectures
READ, ON_FILES = 1 | 4 | 8, 1 | 2 | 4 | 2**14  # execute, read files and folders; what a plain file can allow
SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/passwd", "/dev/urandom",
    "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo",
)  # fmt: skip


def prctl(option, value):
    """Call prctl and return its result, -1 for a failure."""
    return libc.prctl(option, ctypes.c_ulong(value), None, 0, 0)


def prepare():
    """Leave the network, once for all processes to come, and decide how these will be confined here.

    Returns:
        dict: uid to change to (None: stay), version of Landlock (0: none), whether the network is out of reach.
    """
    root = os.geteuid() == 0
    offline = libc.unshare(CLONE_NEWNET if root else CLONE_NEWUSER | CLONE_NEWNET) == 0
    landlock = max(0, libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    return {"uid": NOBODY if root else None, "landlock": landlock, "offline": offline}


def describe(how):
    """Put it into words."""
    user = "the grader's own user" if how["uid"] is None else f"user {how['uid']}"
    files = f"files by Landlock {how['landlock']}" if how["landlock"] else "no Landlock"
    return f"{user}, {files}, {'no network' if how['offline'] else 'the network within reach'}"


def confine(how, limits, readable, writable):
    """Give up what can be given up here. A process that cannot do so, by an OSError, must not go on.

    Limits are cpu (seconds), memory (bytes beyond what is mapped now) and file (bytes). Folders to read and
    execute from are those of the interpreter, the system and `readable`; those to write to are `writable`.
    """
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    threads = int(Path("/proc/loadavg").read_text().split()[3].split("/")[1])
    for kind, limit in (
        (resource.RLIMIT_CPU, limits["cpu"]),
        (resource.RLIMIT_AS, mapped + limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["file"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, threads + 64),  # of all that this user runs
    ):
        with contextlib.suppress(ValueError):  # a lower limit is in force already
            resource.setrlimit(kind, (limit, limit))
    paths = [*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, *sys.path, Path(os.__file__).parent]
    python = {str(Path(path).resolve()) for path in paths if path and Path(path).is_dir()} - {"/"}
    _drop_privileges(how)
    if how["landlock"]:
        _landlock(how["landlock"], [*SYSTEM, f"/proc/{os.getpid()}", *python, *readable], writable)
    for folder in python:
        os.scandir(folder).close()  # packages that are not imported yet must be within reach


def _drop_privileges(how):
    # Python may lie in a folder of root's. With Landlock the right to read there harms nobody.
    keep = CAP_DAC_READ_SEARCH if how["uid"] is not None and how["landlock"] else 0
    if how["uid"] is not None:
        _must(prctl(PR_SET_KEEPCAPS, 1), "keep capabilities")
        os.setgroups([])
        os.setresgid(*[how["uid"]] * 3)
        os.setresuid(*[how["uid"]] * 3)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    capabilities = (ctypes.c_uint32 * 6)(keep, keep, 0, 0, 0, 0)  # effective, permitted, inheritable, twice
    _must(libc.capset(header, capabilities), "drop capabilities")
    _must(prctl(PR_SET_NO_NEW_PRIVS, 1), "renounce new privileges")


def _landlock(version, readable, writable):
    rights = 2 ** (12 + min(version, 3)) - 1
    handled = (rights, 3, 3)[: 1 + (version >= 4) + (version >= 6)]  # files; TCP; signals and abstract sockets
    wanted = (ctypes.c_uint64 * len(handled))(*handled)
    ruleset = libc.syscall(LANDLOCK_CREATE, wanted, ctypes.c_size_t(8 * len(handled)), ctypes.c_uint32(0))
    _must(ruleset, "make a Landlock ruleset")
    for path in (*readable, "/dev/null", *writable):
        allowed = rights if path in ("/dev/null", *writable) else READ
        with contextlib.suppress(FileNotFoundError):  # what is not there need not be seen
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed &= rights if stat.S_ISDIR(os.fstat(handle).st_mode) else ON_FILES
            rule = allowed.to_bytes(8, sys.byteorder) + handle.to_bytes(4, sys.byteorder)
            _must(libc.syscall(LANDLOCK_ADD, ruleset, 1, rule, ctypes.c_uint32(0)), f"allow {path}")
            os.close(handle)
    _must(libc.syscall(LANDLOCK_RESTRICT, ruleset, ctypes.c_uint32(0)), "enter the Landlock ruleset")
    os.close(ruleset)


def _must(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), f"cannot {what}: {os.strerror(ctypes.get_errno())}")
