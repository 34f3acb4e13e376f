"""What a process gives up before it runs a submission. Linux; standard library only.

In order: resource limits, every privilege (as root also the user), and with Landlock the sight of all files but
those it needs. None of it can be taken back by the process itself.
"""

import contextlib
import ctypes
import os
import resource
import stat
import sys
import sysconfig
from pathlib import Path

NOBODY = 65534
GIB = 2**30
libc = ctypes.CDLL(None, use_errno=True)

PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_CAPBSET_DROP = 4, 8, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
CAP_DAC_READ_SEARCH, LAST_CAP = 2, 63
CAPABILITY_VERSION_3 = 0x20080522

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same numbers on all architectures
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
# Rights over files by Landlock's version: 13 in the first; then REFER, TRUNCATE, and from 5 on IOCTL_DEV.
ALL_RIGHTS = {1: 2**13 - 1, 2: 2**14 - 1, 3: 2**15 - 1, 4: 2**15 - 1, 5: 2**16 - 1}
TCP_RIGHTS = 3  # bind and connect, from version 4 on
SCOPES = 3  # from version 6 on: no abstract sockets and no signals to processes outside
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | 2**14 | 2**15  # rights that make sense for a file that is no folder


def prctl(option, value):
    """Call prctl and say whether it succeeded."""
    return libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0


def landlock_version():
    """Return the version of Landlock the kernel offers, 0 for none."""
    version = libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(version, 0)


def interpreter_folders():
    """List the folders that Python and its packages lie in."""
    paths = [*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, *sys.path, Path(os.__file__).parent]
    return sorted({str(Path(path).resolve()) for path in paths if path and Path(path).is_dir()} - {"/"})


def open_to_others():
    """Say whether a user without any rights could run this interpreter and import its packages."""
    for folder in interpreter_folders():
        for path in (Path(folder), *Path(folder).parents):
            if not path.stat().st_mode & stat.S_IXOTH:
                return False
    return True


def plan():
    """Decide how processes will be confined here.

    Returns:
        dict: uid to change to (None: stay), capabilities to keep as a bit mask, landlock version.
    """
    version = landlock_version()
    if os.geteuid() != 0:
        return {"uid": None, "capabilities": 0, "landlock": version}
    if open_to_others():
        return {"uid": NOBODY, "capabilities": 0, "landlock": version}
    # The interpreter lies in a folder of root's. With Landlock the right to read it harms nobody.
    if version:
        return {"uid": NOBODY, "capabilities": 1 << CAP_DAC_READ_SEARCH, "landlock": version}
    return {"uid": None, "capabilities": 0, "landlock": 0}


def describe(how):
    """Put a plan into words."""
    parts = [f"user {how['uid']}" if how["uid"] is not None else "the grader's own user"]
    parts.append(f"files by Landlock {how['landlock']}" if how["landlock"] else "no Landlock")
    return ", ".join(parts)


def is_safe(how):
    """Say whether a plan keeps hidden files and the grader's memory from a submission."""
    return how["uid"] is not None or how["landlock"] > 0


def confine(how, limits, readable, writable):
    """Give up everything that the plan says. A process that cannot do so must not go on.

    Args:
        how: see `plan`.
        limits: dict with cpu (seconds), file (bytes), processes (more than there are now).
        readable: folders that may be read and executed from, besides the interpreter's and the system's.
        writable: folders that may be written to.

    Raises:
        OSError: something could not be given up.
    """
    _limit(how, limits)
    _drop_privileges(how)
    if how["landlock"]:
        _landlock(how["landlock"], readable, writable)


def _limit(how, limits):
    uid = os.getuid() if how["uid"] is None else how["uid"]
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu"], limits["cpu"] + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file"],) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_NPROC, (_tasks_of(uid) + limits["processes"],) * 2)
    # PyTorch maps far more than it uses, so this only stops one enormous allocation; the watch sees the rest.
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 4 * GIB,) * 2)


def _tasks_of(uid):
    """Count the threads of a user, which is what RLIMIT_NPROC counts."""
    count = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == uid:
                    count += len(list((folder / "task").iterdir()))
    return count


def _drop_privileges(how):
    if how["uid"] is not None:
        _must(prctl(PR_SET_KEEPCAPS, 1), "keep capabilities")
        for capability in range(LAST_CAP + 1):
            prctl(PR_CAPBSET_DROP, capability)  # numbers the kernel does not know fail, and need not be dropped
        os.setgroups([])
        os.setresgid(how["uid"], how["uid"], how["uid"])
        os.setresuid(how["uid"], how["uid"], how["uid"])
    keep = how["capabilities"]
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(keep, keep, 0, 0, 0, 0)  # effective, permitted, inheritable, twice
    _must(libc.capset(header, data) == 0, "drop capabilities")
    _must(prctl(PR_SET_NO_NEW_PRIVS, 1), "renounce new privileges")


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def _landlock(version, readable, writable):
    rights = ALL_RIGHTS[min(version, max(ALL_RIGHTS))]
    wanted = _Ruleset(rights, TCP_RIGHTS if version >= 4 else 0, SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8  # older kernels know a shorter structure
    ruleset = libc.syscall(LANDLOCK_CREATE, ctypes.byref(wanted), ctypes.c_size_t(size), ctypes.c_uint32(0))
    _must(ruleset >= 0, "make a Landlock ruleset")
    read = EXECUTE | READ_FILE | READ_DIR
    system = [
        "/usr",
        "/lib",
        "/lib64",
        "/bin",
        "/etc",
        "/sys/devices/system/cpu",
        "/proc/cpuinfo",
        "/proc/meminfo",
    ]
    for path in [*system, f"/proc/{os.getpid()}", "/dev/urandom", *interpreter_folders(), *readable]:
        _allow(ruleset, path, read & rights)
    for path in ["/dev/null", *writable]:
        _allow(ruleset, path, rights)
    _must(libc.syscall(LANDLOCK_RESTRICT, ruleset, ctypes.c_uint32(0)) == 0, "enter the Landlock ruleset")
    os.close(ruleset)


def _allow(ruleset, path, rights):
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this system, and what is not there need not be seen
    if not stat.S_ISDIR(os.fstat(handle).st_mode):
        rights &= ON_FILES
    rule = _Beneath(rights, handle)
    added = libc.syscall(LANDLOCK_ADD, ruleset, ctypes.c_int(1), ctypes.byref(rule), ctypes.c_uint32(0))
    os.close(handle)
    _must(added == 0, f"allow {path}")


def _must(done, what):
    if not done:
        raise OSError(ctypes.get_errno(), f"cannot {what}: {os.strerror(ctypes.get_errno())}")
