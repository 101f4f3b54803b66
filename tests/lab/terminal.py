"""The command line on a terminal of its own, as a person sees it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import time

from projects import Project

_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SECONDS = 90


def typed(made: Project, *arguments: str, ask: str = "", answer: str = "") -> tuple[int, str]:
    """Exit code and screen of `techsapo …`; when `ask` is shown, `answer` is typed."""
    parent, child = pty.openpty()
    plain = {"COLUMNS": "160", "TERM": "xterm-256color", "NO_COLOR": "1"}
    process = subprocess.Popen(
        made.argv(*arguments), cwd=made.directory, stdin=child, stdout=child, stderr=child,
        env={**os.environ, **made.environment, **plain},
    )  # fmt: skip
    os.close(child)
    shown = b""
    asked = False
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        try:
            data = os.read(parent, 65536)
        except OSError:  # the last writer closed the terminal
            break
        if not data:
            break
        shown += data
        if ask and not asked and ask.encode() in shown:
            os.write(parent, answer.encode())
            asked = True
    code = process.wait(60)
    os.close(parent)
    return code, _CODES.sub("", shown.decode(errors="replace")).replace("\r\n", "\n")
