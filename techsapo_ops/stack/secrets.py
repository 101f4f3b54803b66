"""Names and files of secrets: each service gets a copy of its own of what it reads.

A file has one owner, and compose can't hand one secret file to two users.
"""

from __future__ import annotations

import hashlib
import re

from techsapo_ops.stack.desired import RenderedFile

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
