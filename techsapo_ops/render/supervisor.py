"""supervisord.conf of the native engine."""

from __future__ import annotations

from pathlib import Path

import techsapo_ops


def launcher_argv(python: str) -> tuple[str, ...]:
    """The words before a program's own argv: the native engine's launcher, run without site-packages.

    `-I` keeps the user's environment out of it, and by path rather than by `-m` it needs no import of
    the whole package.
    """
    launcher = Path(techsapo_ops.__file__).parent / "engines" / "native" / "launch.py"
    return (python, "-I", str(launcher), "--")
