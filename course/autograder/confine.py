"""What a process gives up before it runs a submission. Linux; standard library only.

Limits on what it may use; every privilege, and as root also the user; with Landlock (Linux 5.13) the sight of all
files but those it needs; with a system call filter (x86-64 and Arm) sockets, signals, tracing and memory that no
limit sees. Where the kernel lacks one of the last two, the rest holds. None of it can be taken back.
"""

import contextlib
import ctypes
import os
import platform
import resource
import stat
import sys
import sysconfig
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
NOBODY = 65534
PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_GET_SECCOMP, PR_SET_SECCOMP = 4, 8, 21, 22
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
CAP_DAC_READ_SEARCH, CAPABILITY_VERSION_3 = 1 << 2, 0x20080522
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same numbers on all architectures
READ, ON_FILES = 1 | 4 | 8, 1 | 2 | 4 | 2**14  # execute, read files and folders; what a plain file can allow
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo")
# Architecture: its name to the filter; the numbers of what is refused: socket, kill, ptrace, tkill, tgkill,
# ..queueinfo, process_vm_..., memfd_create, shmget, pidfd_..., io_uring_setup, memfd_secret.
SYSTEM_CALLS = {
    "x86_64": (0xC000003E, (29, 41, 62, 101, 129, 200, 234, 297, 310, 311, 319, 424, 425, 438, 447)),
    "aarch64": (0xC00000B7, (198, 129, 117, 138, 130, 131, 240, 270, 271, 279, 194, 424, 425, 438, 447)),
}


def prctl(option, value, pointer=None):
    """Call prctl and return its result, -1 for a failure."""
    return libc.prctl(option, ctypes.c_ulong(value), pointer, 0, 0)


def interpreter_folders():
    """List the folders that Python and its packages lie in."""
    paths = [*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, *sys.path, Path(os.__file__).parent]
    return sorted({str(Path(path).resolve()) for path in paths if path and Path(path).is_dir()} - {"/"})


def open_to_others():
    """Say whether a user without any rights could run this interpreter and import its packages."""
    folders = {part for folder in interpreter_folders() for part in (Path(folder), *Path(folder).parents)}
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)


def plan():
    """Decide how processes will be confined here.

    Returns:
        dict: uid to change to (None: stay), capabilities to keep, version of Landlock, whether to filter.
    """
    landlock = max(0, libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    can_filter = platform.machine() in SYSTEM_CALLS and prctl(PR_GET_SECCOMP, 0) >= 0
    # An interpreter in a folder of root's must be readable all the same; with Landlock that right harms nobody.
    keep = 0 if open_to_others() else CAP_DAC_READ_SEARCH
    uid = NOBODY if os.geteuid() == 0 and (landlock or not keep) else None
    return {"uid": uid, "keep": keep if uid else 0, "landlock": landlock, "filter": can_filter}


def describe(how):
    """Put a plan into words."""
    user = f"user {how['uid']}" if how["uid"] is not None else "the grader's own user"
    files = f"files by Landlock {how['landlock']}" if how["landlock"] else "no Landlock"
    return f"{user}, {files}, {'system calls filtered' if how['filter'] else 'no system call filter'}"


def confine(how, limits, readable, writable):
    """Give up everything that the plan says. A process that cannot do so must not go on.

    Args:
        how: see `plan`.
        limits: dict with cpu (seconds) and file (bytes).
        readable: folders that may be read and executed from, besides the interpreter's and the system's.
        writable: folders that may be written to.

    Raises:
        OSError: something could not be given up.
    """
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    threads = int(Path("/proc/loadavg").read_text().split()[3].split("/")[1])
    for kind, limit in (
        (resource.RLIMIT_CPU, limits["cpu"]),
        (resource.RLIMIT_FSIZE, limits["file"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_NPROC, threads + 512),  # of all that this user runs; the warden counts the family
        (resource.RLIMIT_AS, mapped + 4 * 2**30),  # stops one enormous allocation; the warden sees the rest
    ):
        with contextlib.suppress(ValueError):  # a lower limit is in force already
            resource.setrlimit(kind, (limit, limit))
    _drop_privileges(how["uid"], how["keep"])
    if how["landlock"]:
        _landlock(how["landlock"], [*SYSTEM, f"/proc/{os.getpid()}", "/dev/urandom", *readable], writable)
    if how["filter"]:
        _filter(*SYSTEM_CALLS[platform.machine()])


def _drop_privileges(uid, keep):
    if uid is not None:
        _must(prctl(PR_SET_KEEPCAPS, 1), "keep capabilities")
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    capabilities = (ctypes.c_uint32 * 6)(keep, keep, 0, 0, 0, 0)  # effective, permitted, inheritable, twice
    _must(libc.capset(header, capabilities), "drop capabilities")
    _must(prctl(PR_SET_NO_NEW_PRIVS, 1), "renounce new privileges")


def _landlock(version, readable, writable):
    rights = 2 ** (12 + min(version, 3)) - 1
    wanted = ctypes.c_uint64(rights)
    ruleset = libc.syscall(LANDLOCK_CREATE, ctypes.byref(wanted), ctypes.c_size_t(8), ctypes.c_uint32(0))
    _must(ruleset, "make a Landlock ruleset")
    for path in (*interpreter_folders(), *readable, "/dev/null", *writable):
        allowed = rights if path in ("/dev/null", *writable) else READ
        with contextlib.suppress(FileNotFoundError):  # what is not there need not be seen
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed &= rights if stat.S_ISDIR(os.fstat(handle).st_mode) else ON_FILES
            rule = ctypes.create_string_buffer(
                allowed.to_bytes(8, sys.byteorder) + handle.to_bytes(4, sys.byteorder)
            )
            _must(libc.syscall(LANDLOCK_ADD, ruleset, 1, rule, ctypes.c_uint32(0)), f"allow {path}")
            os.close(handle)
    _must(libc.syscall(LANDLOCK_RESTRICT, ruleset, ctypes.c_uint32(0)), "enter the Landlock ruleset")
    os.close(ruleset)


def _filter(architecture, numbers):
    """Let the kernel refuse system calls: a program for its packet filter, eight bytes an instruction."""
    load, equal, above, end, refuse, allow = 0x20, 0x15, 0x35, 0x06, 0x50001, 0x7FFF0000
    checks = [(above, 0x40000000), *((equal, number) for number in numbers)]  # from there on another ABI's numbers
    program = [(load, 0, 0, 4), (equal, 0, len(checks) + 2, architecture), (load, 0, 0, 0)]
    program += [(kind, len(checks) - i, 0, value) for i, (kind, value) in enumerate(checks)]
    program += [(end, 0, 0, allow), (end, 0, 0, refuse)]
    code = b"".join(
        c.to_bytes(2, sys.byteorder) + bytes([t, f]) + k.to_bytes(4, sys.byteorder) for c, t, f, k in program
    )

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]

    _must(prctl(PR_SET_SECCOMP, 2, ctypes.byref(Program(len(program), code))), "filter system calls")


def _must(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), f"cannot {what}: {os.strerror(ctypes.get_errno())}")
