"""Starts one process of the native engine, so that it ends with whoever started it.

Run as `python -I launch.py [--visit] [--at-once] [--user NAME] -- PROGRAM ARGUMENT…`; it becomes PROGRAM.
With `--visit` it is no service of the stack, whoever started it: a job of the scheduler has the scheduler's
environment, and would end it as what an earlier start left. With `--at-once` it ends by SIGKILL: for servers
whose data nobody keeps, since MariaDB loses a SIGTERM that comes while it starts, and then stays for good.
Standard library only: on a bare host there is Python and nothing else, and what `setpriv --pdeathsig` does is
one system call.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that the kernel sends this process when its parent ends."""
STATE_VARIABLE = "TECHSAPO_STATE"
"""Names the state directory of the stack that a process belongs to."""
SERVICE_VARIABLE = "TECHSAPO_SERVICE"
"""Names the service that a process is, or works for."""
MEMBERS = "members"
"""Below the run folder: a file per service; whoever holds it open belongs to that service."""
VISIT = "--visit"
AT_ONCE = "--at-once"
_GRACE_SECONDS = 3.0


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Ask the kernel for the signal `number` at the parent's end; end now if `parent` has ended already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have died before the call, and then no signal comes.
    if os.getppid() != parent or parent == 1:
        raise SystemExit("the process that started this one is gone")


def hold_membership(state: str, service: str) -> None:
    """Keep the service's member file open and locked over exec, after ending what an earlier start left.

    nginx and redis overwrite the memory that /proc/PID/environ shows, but an inherited open file stays
    visible in /proc/PID/fd, in workers too: that is how leftovers are found and told from strangers. When
    nginx's master is killed, its workers live on and keep the port, so that no new master could start.
    Only processes of this supervisor's session are ended: nobody else can start one in it. The file is made
    in its own folder, by descriptors: a link on the way would have root make it elsewhere.
    """
    path = os.path.join(state, "run", MEMBERS, service)  # noqa: PTH118 - pathlib would slow every start
    descriptor = _open_member(state, service)
    os.set_inheritable(descriptor, True)
    if _locked(descriptor, 0):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in holders(path):
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                if os.getsid(pid) == os.getsid(0):
                    os.kill(pid, number)
        if _locked(descriptor, _GRACE_SECONDS):
            return


def _open_member(state: str, service: str) -> int:
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    for name in ("run", MEMBERS):
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        os.close(folder)
        folder = inner
    member = os.open(service, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    os.close(folder)
    return member


def holders(path: str) -> list[int]:
    """Other processes that have the file `path` open, as far as this user may look."""
    pids = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - see above
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):  # ended meanwhile, or another user's
                links = (os.readlink(f"/proc/{entry}/fd/{fd}") for fd in os.listdir(f"/proc/{entry}/fd"))  # noqa: PTH115, PTH208 - see above
                if path in links:
                    pids.append(int(entry))
    return pids


def _locked(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def become_user(name: str) -> None:
    """Drop to the system user `name` with all its groups; only root can."""
    import pwd

    entry = pwd.getpwnam(name)
    os.initgroups(name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ.update(HOME=entry.pw_dir, USER=name, LOGNAME=name)


def main(arguments: list[str]) -> None:
    """Become the program that `arguments` name."""
    parent = os.getppid()
    cut = arguments.index("--")
    options, argv = arguments[:cut], arguments[cut + 1 :]
    # Looked up before the change of user: afterwards Python's own modules may be out of reach.
    program = shutil.which(argv[0]) or argv[0]
    state = os.environ.get(STATE_VARIABLE)
    if options[:1] == [VISIT]:
        del options[0]
    elif state:
        hold_membership(state, os.environ.get(SERVICE_VARIABLE, "other"))
    number = signal.SIGTERM
    if options[:1] == [AT_ONCE]:
        del options[0]
        number = signal.SIGKILL
    if options[:1] == ["--user"]:
        become_user(options[1])
    # After the change of user: the kernel forgets the death signal when credentials change.
    die_with_parent(parent, number)
    # Python ignores these two, and ignored signals stay ignored over exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execv(program, argv)  # noqa: S606 - no shell is what is wanted
    except OSError as error:
        raise SystemExit(f"cannot run {argv[0]}: {error.strerror}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
