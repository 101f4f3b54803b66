"""Says of an argument or option which names a shell offers for it: `autocompletion=completes("services")`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

What = Literal[
    "services",
    "backups",
    "jobs",
    "alerts",
    "certificates",
    "environments",
    "fields",
    "pages",
    "secrets",
    "hosts",
]
MARK = "\0"
"""No word begins with it: asked for this one, a completion says what it offers."""


def completes(what: What) -> Callable[[str], list[str]]:
    """What Typer asks for the names that begin with a word."""

    def complete(incomplete: str) -> list[str]:
        if incomplete == MARK:
            return [f"{MARK}{what}"]
        from techsapo_ops.cli.completing import names_of

        return names_of(what, None, incomplete)

    return complete
