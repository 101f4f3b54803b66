"""Secrets: names and files of what services read, and those that a person may need.

Each service gets a copy of its own of what it reads: a file has one owner, and compose can't hand one secret
file to two users.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import RenderedFile

if TYPE_CHECKING:
    from techsapo_ops.spec.secret import Secret


SECRETS = "secrets/"

_PLAIN = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_SHOWN = 80


def secret_name(path: str) -> str:
    """File name of the secret at a dotted spec path: `redis.password` → `redis-password`.

    No two paths share a name. One that holds more than letters, digits and `_` between its dots gets
    a digest after a `.`, which no plain name has: `providers.gpt.api_key` → `providers-gpt-api_key.1f…`.
    """
    if _PLAIN.fullmatch(path) and len(path) <= _SHOWN:
        return path.replace(".", "-")
    digest = hashlib.sha256(path.encode()).hexdigest()[:12]
    return f"{_UNSAFE.sub('-', path)[:_SHOWN]}.{digest}"


def secret_file(name: str, content: str, owner: str) -> RenderedFile:
    """The file `name` that the services of kind `owner` alone may read."""
    return RenderedFile(SECRETS + name, content, mode=0o600, secret=True, owner=owner)


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """One secret, by a `name` of its own such as `redis-operator`.

    `given` is what the spec says at `setting`, or None where the tool made it and keeps it in `file`.
    """

    name: str
    opens: str
    """What it opens, and for whom, in a few words."""
    used_by: tuple[str, ...]
    """Who logs in with it: kinds of services, `techsapo`, or `you`."""
    account: str | None = None
    file: Path | None = None
    given: Secret | None = None
    setting: str = ""

    @property
    def made_by(self) -> str:
        """Who thought it up."""
        return msg("your spec") if self.given is not None else "techsapo"

    @property
    def place(self) -> str:
        """Where it is."""
        if self.given is not None:
            return self.given.file or msg("{setting} in the spec", setting=self.setting)
        return str(self.file)
