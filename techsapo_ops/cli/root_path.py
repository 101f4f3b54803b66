"""Where root searches programs: nowhere that somebody else may choose."""

from __future__ import annotations

import os

ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""As Debian's sudo has it (secure_path)."""


def fix_search_path() -> None:
    """As root, search ROOT_PATH, in this process and in all that it starts.

    The PATH of a shell may begin with a folder of somebody else's, whose programs root would run.
    """
    if os.geteuid() == 0:
        os.environ["PATH"] = ROOT_PATH
