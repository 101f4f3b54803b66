"""A program with fewer rights at somebody's terminal: script(1) of util-linux gives it one of its own.

Who has a terminal open may put characters into its input (TIOCSTI, which kernels before 6.2 always allow),
and read what is typed there after the program has ended. A service's user must not do that to root's shell.
`su --pty` does the same, but for `su` alone, and makes a terminal of streams that are files or pipes.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
from collections.abc import Mapping

from techsapo_ops.adapters.process import Command, attached, program_of

_STREAMS = (0, 1, 2)


def attached_apart(command: Command, environment: Mapping[str, str]) -> int:
    """Run `command` with this process's input and output, but in a session and at a terminal of its own.

    As `process.attached` in all else. Of the streams those that are a terminal become the new one; files and
    pipes stay what they are. Keys reach it where its output is a terminal, too. Raises OpsError when it can't
    be started.
    """
    words = (program_of(command) or command.argv[0], *command.argv[1:])
    # From 3 on, and the lowest that are free: a shell that redirects knows numbers of one digit alone.
    copies = {n: fcntl.fcntl(n, fcntl.F_DUPFD, 3) for n in _STREAMS if not os.isatty(n)}
    try:
        redirected = "".join(f" {n}{'<' if n == 0 else '>'}&{copy}" for n, copy in copies.items())
        call = f"exec {shlex.join(words)}{redirected}"
        script = Command(
            ("script", "--quiet", "--return", "--command", call, "/dev/null"),
            env={**command.env, "SHELL": "/bin/sh"},
            cwd=command.cwd,
        )
        # Files and pipes go by script, which is given what is left of our terminal.
        # Keys are the pager's where the output is one's: nobody types to a program whose output is a pipe.
        keys = subprocess.DEVNULL if copies.keys() & {0, 1} else None
        screen = next((n for n in (1, 2, 0) if n not in copies), subprocess.DEVNULL)
        return attached(script, environment, streams=(keys, screen), handed_over=tuple(copies.values()))
    finally:
        for copy in copies.values():
            os.close(copy)
