"""Runs a command under the restrictions of a systemd unit, where no systemd runs.

By hand: python restricted.py UNIT COMMAND…, as root. The unit's own directives are read, and each is done
as systemd does it (systemd.exec(5)): by mounts in a mount namespace of its own, by setpriv, and by
libseccomp, which systemd uses itself. A directive that is not known here is an error, so that none stays
untried.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shlex
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NE, EQ, MASKED_EQ = 1, 4, 7
"""Comparisons of libseccomp (seccomp.h)."""
NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00000080)
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME (sched.h)."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
READ_ONLY = {
    "ProtectSystem": ("/usr", "/boot", "/efi", "/etc"),
    "ProtectControlGroups": ("/sys/fs/cgroup",),
    "ProtectKernelTunables": (
        "/proc/sys",
        "/proc/sysrq-trigger",
        "/proc/irq",
        "/proc/bus",
        "/proc/fs",
        "/sys",
    ),
}
CALLS = {
    "ProtectClock": ("clock_settime", "settimeofday", "adjtimex", "clock_adjtime", "stime"),
    "ProtectHostname": ("sethostname", "setdomainname"),
    "ProtectKernelLogs": ("syslog",),
    "ProtectKernelModules": ("init_module", "finit_module", "delete_module"),
}
MODES = {
    "chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "mkdir": 1, "mkdirat": 2, "mknod": 1,
    "mknodat": 2,
    "open": 2, "openat": 3,
}  # fmt: skip
"""Calls that set a file's mode, and which of their arguments it is."""
BY_THE_SERVICE_MANAGER = {
    "Type", "RemainAfterExit", "Restart", "RestartSec", "ExecStart", "ExecReload", "ExecStop",
    "TimeoutStartSec", "TimeoutStopSec",
    "KillMode", "LimitNOFILE", "SystemCallErrorNumber", "SystemCallArchitectures", "WorkingDirectory",
    "Environment", "Nice",
}  # fmt: skip
"""What is no restriction, or of this machine's one architecture without meaning."""


class Comparison(ctypes.Structure):
    """scmp_arg_cmp of libseccomp."""

    _fields_ = (
        ("argument", ctypes.c_uint), ("operation", ctypes.c_int),
        ("first", ctypes.c_uint64), ("second", ctypes.c_uint64),
    )  # fmt: skip


class Filter:
    """A filter of system calls that refuses with an error."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self._lib.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._lib.seccomp_init(ALLOW))

    def refuse(self, call: str, *when: Comparison, error: int = errno.EPERM) -> None:
        """Let `call` fail where all of `when` holds; one that this architecture lacks is none to refuse."""
        number = self._lib.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return
        comparisons = (Comparison * len(when))(*when)
        added = self._lib.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(ERRNO | error), number, len(when), comparisons
        )
        if added != 0:
            raise OSError(-added, f"{call}: {os.strerror(-added)}")

    def load(self) -> None:
        """Restrict this process and what it starts. It must have no_new_privs or CAP_SYS_ADMIN."""
        loaded = self._lib.seccomp_load(self._context)
        if loaded != 0:
            raise OSError(-loaded, os.strerror(-loaded))


def directives(unit: str) -> dict[str, str]:
    """The settings of section [Service]; a list that is set more than once is joined."""
    found: dict[str, str] = {}
    section = ""
    for line in map(str.strip, unit.splitlines()):
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name] = f"{found[name]} {value}" if name in found else value
    return found


def calls_of(group: str) -> Iterator[str]:
    """The system calls of a group such as @mount, as systemd itself lists them."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], check=True, capture_output=True, text=True
    ).stdout
    for line in map(str.strip, listed.splitlines()[1:]):
        if line.startswith("@"):
            yield from calls_of(line)
        elif line and not line.startswith("#"):
            yield line


def filtered(settings: dict[str, str]) -> Filter:
    """The filter that systemd would make of `settings`."""
    made = Filter()
    for name, calls in CALLS.items():
        for call in calls if name in settings else ():
            made.refuse(call)
    if (groups := settings.get("SystemCallFilter")) is not None:
        assert groups.startswith("~@"), "a list of what is refused"
        for call in {call for group in groups[1:].split() for call in calls_of(group)}:
            made.refuse(call)
    if "RestrictNamespaces" in settings:
        for flag in NAMESPACES:
            made.refuse("clone", Comparison(0, MASKED_EQ, flag, flag))
            made.refuse("unshare", Comparison(0, MASKED_EQ, flag, flag))
        made.refuse("clone3", error=errno.ENOSYS)  # its flags lie in memory, which no filter can read
        made.refuse("setns")
    if (families := settings.get("RestrictAddressFamilies")) is not None:
        allowed = {int(getattr(socket, family)) for family in families.split()}
        for family in set(range(46)) - allowed:
            made.refuse("socket", Comparison(0, EQ, family, 0), error=errno.EAFNOSUPPORT)
    if "RestrictSUIDSGID" in settings:
        for bit in (stat.S_ISUID, stat.S_ISGID):
            for call, position in MODES.items():
                made.refuse(call, Comparison(position, MASKED_EQ, bit, bit))
    if "RestrictRealtime" in settings:
        for policy in (1, 2, 6):  # SCHED_FIFO, SCHED_RR, SCHED_DEADLINE
            made.refuse("sched_setscheduler", Comparison(1, EQ, policy, 0))
    if "LockPersonality" in settings:
        made.refuse("personality", Comparison(0, NE, 0, 0))
    return made


def mounts(settings: dict[str, str]) -> None:
    """What the unit sees of the file system, in this process's own mount namespace."""
    run("mount", "--make-rprivate", "/")
    for name, folders in READ_ONLY.items():
        if name not in settings:
            continue
        assert settings[name] in {"yes", "full"}, settings[name]
        for folder in filter(os.path.exists, folders):
            run("mount", "--rbind", folder, folder)
            run("mount", "-o", "remount,bind,ro", folder)
    for word in shlex.split(settings.get("ReadWritePaths", "")):
        folder = word.removeprefix("-")
        if Path(folder).is_dir():
            run("mount", "--rbind", folder, folder)
            run("mount", "-o", "remount,bind,rw", folder)
    if "PrivateDevices" in settings:
        keep = Path("/run/restricted-dev")
        keep.mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "dev", str(keep))
        for name in DEVICES:
            (keep / name).touch()
            run("mount", "--bind", f"/dev/{name}", str(keep / name))
        for name in ("shm", "pts"):
            (keep / name).mkdir()
            run("mount", "--rbind", f"/dev/{name}", str(keep / name))
        for name, target in (
            ("fd", "/proc/self/fd"),
            ("stdin", "fd/0"),
            ("stdout", "fd/1"),
            ("stderr", "fd/2"),
        ):
            (keep / name).symlink_to(target)
        run("mount", "--move", str(keep), "/dev")
    if "ProtectKernelLogs" in settings:
        assert not Path("/dev/kmsg").exists(), "PrivateDevices hides it"


def run(*argv: str) -> None:
    """Run a program that has to succeed."""
    subprocess.run(argv, check=True)


KNOWN: dict[str, Callable[[str], Sequence[str]]] = {
    "NoNewPrivileges": lambda _: ["--no-new-privs"],
    "CapabilityBoundingSet": lambda value: [
        "--bounding-set",
        ",".join(["-all", *(f"+{name.lower().removeprefix('cap_')}" for name in value.split())]),
    ],
}
"""Directives that setpriv(1) does."""
ALL = {
    *KNOWN, *READ_ONLY, *CALLS, *BY_THE_SERVICE_MANAGER, "ReadWritePaths", "PrivateDevices",
    "SystemCallFilter", "RestrictNamespaces", "RestrictAddressFamilies", "RestrictSUIDSGID",
    "RestrictRealtime", "LockPersonality",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Restricted:
    """How to start a command under the restrictions of the unit at `unit`."""

    unit: Path

    @property
    def launcher(self) -> tuple[str, ...]:
        """The words before the command."""
        return ("unshare", "--mount", "--uts", "--", sys.executable, __file__, str(self.unit))


def main(unit: str, command: Sequence[str]) -> None:
    """Become `command`, restricted."""
    settings = directives(Path(unit).read_text(encoding="utf-8"))
    untried = set(settings) - ALL
    if untried:
        raise SystemExit(f"not tried: {', '.join(sorted(untried))}")
    if command[0] == "--filtered":
        filtered(settings).load()
        os.execvp(command[1], list(command[1:]))  # noqa: S606 - the command is the test's
    mounts(settings)
    privileges = [word for name, words in KNOWN.items() if name in settings for word in words(settings[name])]
    inner = [sys.executable, __file__, unit, "--filtered", *command]
    os.execvp("setpriv", ["setpriv", *privileges, "--", *inner])  # noqa: S606 - the command is the test's


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
